"""Settings out of their range, and models too large to build."""

import dataclasses
import json

from faults.rows import EVALUATE, line, new_run

KIND = "settings"

_NUMBERS = [
    line(f"train {flag}", KIND, new_run(flag), flag.partition("=")[0], slow=slow)
    for flag, slow in (
        ("--free_bits=nan", False),
        ("--skip_gradient_norm=nan", False),
        ("--learning_rate=inf", False),
        ("--learning_rate=-1", True),
        ("--ema_decay=nan", True),
        ("--ema_decay=1.5", True),
        ("--batch_size=0", True),
        ("--steps=-1", True),
        ("--validation_size=-3", True),
        ("--seed=1e3", True),
        ("--binarize=perhaps", True),
        ("--steps=99999999999999999999", True),
    )
]
_OTHERS = [
    line(f"{command[0]} {flag}", KIND, (*command, flag), flag.partition("=")[0], slow=slow)
    for command, flag, slow in (
        (("sample", "--model_dir={0.run}"), "--temperature=nan", False),
        (("sample", "--model_dir={0.run}"), "--temperature=inf", True),
        (("sample", "--model_dir={0.run}"), "--temperature=1e10", False),
        (("sample", "--model_dir={0.run}"), "--num_samples=-1", True),
        (EVALUATE, "--k=9", False),
        (EVALUATE, "--num_examples=-2", True),
        (EVALUATE, "--iw_samples=0", True),
        (EVALUATE, "--max_rows=0", True),
        (EVALUATE, "--seed=18446744073709551616", True),
    )
]


def _huge(place):
    spec = json.loads(place.shared.spec.read_text())
    for stage in spec["stages"]:
        for block in stage["blocks"]:
            block["filters"] = 10**12
    (place.folder / "huge.json").write_text(json.dumps(spec))


def _spec(content):
    def arrange(place):
        (place.folder / "spec.json").write_bytes(content)

    return arrange


def _architecture(name):
    return new_run(f"--architecture={{0.folder}}/{name}.json")


_ARCHITECTURES = [
    line("10^12 filters", KIND, _architecture("huge"), "huge|architecture", arrange=_huge),
    *(
        line(
            f"a spec that is {name}",
            KIND,
            _architecture("spec"),
            r"spec\.json",
            arrange=_spec(content),
            slow=name != "empty",
        )
        for name, content in (
            ("empty", b""),
            ("a list", b"[]"),
            ("not UTF-8", b"\xff\xff"),
            ("deep", b"[" * 1000 + b"]" * 1000),
            ("cut", b'{"image_shape": [28, 28'),
        )
    ),
]

FAULTS = [*_NUMBERS, *_OTHERS, *_ARCHITECTURES]
FAULTS = [dataclasses.replace(fault, seconds=40) for fault in FAULTS]
