"""Tools around biva_tf: experiments, benchmarks, TensorFlow 1, releases."""
