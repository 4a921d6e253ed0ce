"""Users, tokens, throttles: the lowest floor."""
