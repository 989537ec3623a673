"""The commands, a module per topic: each has ``register(app)``, and imports what is heavy inside its commands."""
