"""What the model computes with: weight-normalised layers, and how their products are computed."""
