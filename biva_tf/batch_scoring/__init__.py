"""Scores many images with an export, part by part, on many processes: `biva_tf.score_dataset`."""
