"""What a run says, as typed events, and their forms on the wire. It knows neither models nor tools."""
