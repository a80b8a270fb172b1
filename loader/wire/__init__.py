"""The API's contract, byte for byte; the sandbox shares it. Nothing here does I/O."""
