"""Templates of extensions, which ``attacca new`` writes."""
