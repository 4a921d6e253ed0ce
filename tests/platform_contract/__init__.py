"""The REST contract, line by line, over real sockets against both servers."""
