"""The whole service in one process, and the command line beside it, as people meet them."""
