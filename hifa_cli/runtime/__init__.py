"""The ground to run on: whole writes, locks, progress, signals, seeds, devices, distributed training."""
