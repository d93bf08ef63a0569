"""``statewise classify`` by default on sets of the UCR and UEA archives, beside its own baselines: ``make archive``."""
