"""Metrics for Prometheus: of requests and sockets here, of turns and providers in their rooms."""
