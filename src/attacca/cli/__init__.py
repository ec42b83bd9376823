"""The ``attacca`` commands: arguments, one call of the library, output."""
