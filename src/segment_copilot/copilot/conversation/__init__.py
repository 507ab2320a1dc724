"""The room of what a model is told: the request, its thread, the view and the workspace around it. It calls no model and no tool."""
