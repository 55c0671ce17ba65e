"""The commands of the package: each is a module with its settings, `run` and `main`."""

GROUPS = {
    "get data and train": ("prepare_data", "train", "plot", "report"),
    "judge a model": ("evaluate", "anomaly", "classify", "score_dataset"),
    "see what it draws": ("sample",),
    "compress": ("compress", "decompress"),
    "serve": ("export", "serve_check"),
}
COMMANDS = tuple(name for names in GROUPS.values() for name in names)
