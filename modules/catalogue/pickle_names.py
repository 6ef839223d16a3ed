"""Which names in a pickle an honest file of weights has, and which could run code.

Nothing that is named is ever looked up, so a name missing here runs nothing either; this only decides between ignoring
an object and refusing the whole file, so that a person learns that someone tried.
"""

import sys
from collections.abc import Mapping
from typing import Final

# Of the standard library, what honest files name: containers, numbers, paths and dates, all as inert stand-ins.
_HARMLESS_STDLIB: Final[Mapping[str, frozenset[str]]] = {
    "builtins": frozenset(
        {"set", "frozenset", "list", "tuple", "int", "float", "bool", "str", "bytes", "bytearray", "complex", "slice",
         "range", "object", "long", "unicode", "NoneType"}
    ),
    "collections": frozenset({"defaultdict", "Counter", "deque", "OrderedDict"}),
    "copyreg": frozenset({"_reconstructor"}),
    "_codecs": frozenset({"encode"}),
    "argparse": frozenset({"Namespace"}),
    "pathlib": frozenset({"Path", "PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath"}),
    "datetime": frozenset({"datetime", "timedelta", "date", "time", "timezone"}),
    "types": frozenset({"SimpleNamespace"}),
    "typing": frozenset({"Any"}),
    "enum": frozenset({"Enum"}),
    "uuid": frozenset({"UUID"}),
    "decimal": frozenset({"Decimal"}),
    "fractions": frozenset({"Fraction"}),
}  # fmt: skip
_DANGEROUS_PACKAGES: Final = frozenset(
    {"nt", "posix", "commands", "urllib2", "httplib", "pip", "setuptools", "pkg_resources", "cloudpickle", "dill",
     "joblib", "IPython", "requests", "httpx", "aiohttp", "pexpect", "fsspec", "jinja2", "yaml", "cffi", "numba",
     "sympy", "pandas", "win32api", "pywintypes"}
)  # fmt: skip
# Of torch and numpy, whose functions can load, compile or run code, only these lead to stand-ins.
_HARMLESS_TORCH: Final = ("torch.optim.", "torch.nn.", "torch.distributions.", "torch.utils.data.", "torch.cuda.amp.")
_HARMLESS_TORCH_NAMES: Final = frozenset({"device", "dtype", "Tensor", "Generator", "contiguous_format"})
_HARMLESS_NUMPY: Final = frozenset({"scalar", "dtype", "ndarray", "_reconstruct", "_frombuffer"})


def may_run_code(module: str, name: str) -> bool:
    """Whether an honest file of weights would never name this: most of the standard library, and known gadgets."""
    top = module.partition(".")[0]
    if module in _HARMLESS_STDLIB:
        return name not in _HARMLESS_STDLIB[module]
    if top == "torch":
        is_training_state = f"{module}.".startswith(_HARMLESS_TORCH)
        return not is_training_state and not (module == "torch" and name in _HARMLESS_TORCH_NAMES)
    if top == "numpy":
        return name not in _HARMLESS_NUMPY and not name.endswith("DType")
    return top in sys.stdlib_module_names or top in _DANGEROUS_PACKAGES or "__" in name
