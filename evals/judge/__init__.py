"""A language model as a judge of four things that code cannot measure, kept in check by what code can."""
