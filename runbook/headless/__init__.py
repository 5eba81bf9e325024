"""The notebooks executed unattended: order, Papermill, kernels, watching."""
