"""The request: every generation parameter declared once, checked, and resolved into what applies."""

from modules.parameters.declaration import Parameter, declared_parameters, parameter_of
from modules.parameters.infotext import parse_infotext
from modules.parameters.infotext_request import ModelLookup, PastedRequest, request_from_infotext
from modules.parameters.infotext_writer import write_infotext
from modules.parameters.request import BatchFile, GenerationRequest, Mode, RequestError, parse_request
from modules.parameters.resolved import ResolvedRequest, Variant, fixed_seeds, resolve

__all__ = [
    "BatchFile",
    "GenerationRequest",
    "Mode",
    "ModelLookup",
    "Parameter",
    "PastedRequest",
    "RequestError",
    "ResolvedRequest",
    "Variant",
    "declared_parameters",
    "fixed_seeds",
    "parameter_of",
    "parse_infotext",
    "parse_request",
    "request_from_infotext",
    "resolve",
    "write_infotext",
]
