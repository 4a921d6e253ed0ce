"""What programs that were written for OpenAI's API find below ``/v1``, over real sockets."""
