"""The original TensorFlow 1 program: its names, files, noise and optimiser steps."""
