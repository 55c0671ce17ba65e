"""Trainings and measurements over data sets and settings, and their tables."""
