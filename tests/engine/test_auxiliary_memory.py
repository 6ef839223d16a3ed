"""Networks of features beside a checkpoint: their bytes are planned, and they are on the card only while they work."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from modules.catalogue import ModelFolders
from modules.engine import model_placement as model_placement_module
from modules.engine import upscalers as upscalers_module
from modules.engine.job_models import JobModels
from modules.engine.model_keeper import ModelKeeper
from modules.engine.model_placement import ModelPlacement
from modules.engine.upscalers import UpscalerKeeper
from modules.features.controlnet.declare import CONTROLNET
from modules.features.controlnet.preprocessors.declare import find_preprocessor
from modules.features.controlnet.preprocessors.nets.hed import hed_edges, load_hed
from modules.features.controlnet.preprocessors.run import Preprocessors, Settings
from modules.features.controlnet.run import ControlNet
from modules.features.controlnet.sizes import auxiliary_sizes
from modules.features.declaration import checked_arguments
from modules.features.detail.declare import DETAIL, TITLE
from modules.features.detail.detectors.detect import open_detector
from modules.features.detail.detectors.plan import Detector
from modules.features.detail.sizes import detector_sizes
from modules.features.running import FeatureJob
from modules.features.shared import SharedCache
from modules.generation.pipeline import Pass, PassContext
from modules.hardware.budget import MemoryPlan
from modules.hardware.choice import HardwareRequest, choose_hardware
from modules.hardware.device import module_bytes
from modules.hardware.pinned_weights import PinnedWeights
from modules.parameters import ResolvedRequest
from modules.parameters.job_options import EncodingOptions
from modules.parameters.load_options import LoadOptions
from modules.parameters.resolved import Variant
from tests.checkpoints import Architecture, make_modules, write_tiny_checkpoint
from tests.control_models import controlnet_tensors, make_controlnet, write_control
from tests.engine.conftest import checkpoint_at, job
from tests.engine.test_models import Line
from tests.features.controlnet import layouts
from tests.features.controlnet.test_networks import picture, saved
from tests.features.detail import test_yolo_file as yolo_file
from tests.features.detail import yolo_modules
from tests.generation.control.test_image_prompts import VIEW, adapter_tensors, make_encoder
from tests.hardware.byte_counter import ByteCounter

CPU = choose_hardware(HardwareRequest(use_cpu=True, no_half=True))
CARD = torch.device("meta")


class CountedCard:
    """Stands for a card: what is moved there is counted, and lies in main memory all the same, so that it computes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.live = self.peak = self.moves = 0
        self._held: dict[int, int] = {}
        restore, card = PinnedWeights.restore, self

        def to_device(weights: PinnedWeights, device: torch.device) -> None:
            weights.set_data([tensor.clone() for tensor in weights.in_main_memory])
            card._held[id(weights.tensors[0])] = size = sum(one.nbytes for one in weights.in_main_memory)
            card.live += size
            card.peak, card.moves = max(card.peak, card.live), card.moves + 1

        def restored(weights: PinnedWeights) -> None:
            restore(weights)
            card.live -= card._held.pop(id(weights.tensors[0]), 0)

        monkeypatch.setattr(PinnedWeights, "to_device", to_device)
        monkeypatch.setattr(PinnedWeights, "restore", restored)


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> CountedCard:
    return CountedCard(monkeypatch)


class Files:
    """A checkpoint, control models, and the weights of a preprocessor, an image encoder and a detector."""

    def __init__(self, folder: Path) -> None:
        self.checkpoint = checkpoint_at(write_tiny_checkpoint(folder / "tiny.safetensors"))
        self.hed, self.encoder = saved("hed", folder), folder / "clip_vision" / "clip_h.pth"
        self.encoder.parent.mkdir()
        write_control(self.encoder, dict(make_encoder(64, VIEW).state_dict()))
        unet = make_modules(Architecture()).unet
        adapter = write_control(folder / "ip-adapter_sd15.safetensors", adapter_tensors(unet, "plain"))
        edges = write_control(folder / "edges.safetensors", controlnet_tensors(make_controlnet()))
        self.control = {"control/edges": str(edges), "control/ip": str(adapter)}
        self.folders = ModelFolders(annotators=(folder,), detectors=(folder / "adetailer",))

    def units(self, *units: dict[str, Any]) -> ResolvedRequest:
        every: list[Any] = [{"enabled": True, "image": "own", "processor_res": 64} | unit for unit in units]
        scripts = {CONTROLNET.title: checked_arguments(CONTROLNET, {"units": every})}
        return job(self.checkpoint, "a", scripts=scripts).resolved

    def models(self, resolved: ResolvedRequest, shared: SharedCache, device: torch.device = CARD) -> JobModels:
        keeper = ModelKeeper(CPU, Line().emit)
        return JobModels(keeper, CPU, resolved, None, None, self.control, shared, self.folders, device)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("auxiliary"))


HED: dict[str, Any] = {"module": "hed", "model": "edges"}
SEEN: dict[str, Any] = {"module": "ip-adapter-auto", "model": "ip"}


def drawn(models: JobModels, resolved: ResolvedRequest, files: Files, shared: SharedCache) -> None:
    """What the units of a job do before a pass."""
    given = cast(Any, SimpleNamespace())
    tools = (lambda name: Image.fromarray(picture(64, 64)), given, given, files.folders, models.on_device)
    feature = ControlNet(FeatureJob(resolved, *tools, files.control, shared, lambda: False, lambda said: None))
    pipeline, plan = models.pipeline(files.checkpoint), cast(Any, SimpleNamespace(steps=4))
    feature.before_pass(PassContext(pipeline, resolved, range(1), Pass(resolved.passes[0]), plan))


def test_preprocessors_and_image_encoders_are_on_the_card_only_while_they_work(files: Files, card: CountedCard) -> None:
    shared, both = SharedCache(), files.units(HED, SEEN)
    drawn(files.models(both, shared), both, files, shared)
    planned = auxiliary_sizes(both, files.control, files.folders, 4, 64)
    assert set(planned) == {files.hed, files.encoder}
    # One after the other, each as large as it was planned.
    assert (card.live, card.moves) == (0, 2)
    assert card.peak == max(size.weights for size in planned.values())
    # They wait in main memory for the next job.
    assert shared.files("preprocessor", "image encoders") == {files.hed, files.encoder}


def test_networks_leave_the_card_when_they_fail(files: Files, card: CountedCard) -> None:
    models = files.models(files.units(HED), SharedCache())
    models.pipeline(files.checkpoint)
    with pytest.raises(RuntimeError, match="failed"), models.on_device(nn.Linear(2, 2)):
        assert card.live
        raise RuntimeError("it failed")
    assert not card.live


def test_without_room_on_the_card_the_processor_computes_them(
    files: Files, card: CountedCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared, both = SharedCache(), files.units(HED, SEEN)
    models = files.models(both, shared)
    fit = ModelPlacement.fit

    def without_room(placement: ModelPlacement, *given: Any) -> MemoryPlan:
        placement.plan = replace(fit(placement, *given), auxiliaries_elsewhere=True)
        return placement.plan

    monkeypatch.setattr(ModelPlacement, "fit", without_room)
    drawn(models, both, files, shared)
    assert not card.moves


def test_the_parts_of_a_checkpoint_that_take_turns_make_room(
    files: Files, card: CountedCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_placement_module, "has_own_memory", lambda device: True)
    monkeypatch.setattr(ModelPlacement, "_free", lambda self: 10**12)
    file = files.checkpoint.model_copy(update={"load_options": LoadOptions(memory_mode="medvram")})
    models, net = files.models(files.units(HED), SharedCache()), nn.Linear(8, 8)
    encoder = models.pipeline(file).encoder
    encoder.encode(("a",), EncodingOptions())
    assert card.live > module_bytes(net)
    with models.on_device(net):
        assert card.live == module_bytes(net)
    encoder.encode(("b",), EncodingOptions())
    assert card.live > module_bytes(net)


def test_the_bytes_that_are_planned_are_those_of_the_networks(files: Files) -> None:
    def planned(*units: dict[str, Any], **more: Any) -> dict[Path, tuple[int, int]]:
        sizes = auxiliary_sizes(files.units(*units), files.control, files.folders, 2, more.get("text_width", 64))
        return {path: (size.weights, size.work) for path, size in sizes.items()}

    hed = module_bytes(load_hed(files.hed, torch.device("cpu")))
    encoder = sum(one.numel() for one in make_encoder(64, VIEW).parameters()) * 2
    small, large = planned(HED)[files.hed], planned(HED | {"processor_res": 128})[files.hed]
    assert small[0] == large[0] == hed and large[1] == 4 * small[1]
    assert planned(HED, HED | {"processor_res": 128}) == {files.hed: large}
    assert planned(SEEN)[files.encoder][0] == encoder
    # For the whole text of SDXL one of the text's width is meant, and that isn't here.
    assert planned({"module": "revision_clipvision"}, text_width=VIEW)[files.encoder][0] == encoder
    assert planned({"module": "revision_clipvision"}, text_width=1) == {}
    # What is missing, what needs no weights, and what is disabled.
    assert planned({"module": "depth", "model": "edges"}, {"module": "canny"}, HED | {"enabled": False}) == {}


def test_hed_at_its_published_widths_takes_no_more_than_is_planned(tmp_path: Path) -> None:
    path = saved("hed", tmp_path)
    widths = {name: tuple(8 * side if side in (8, 16, 32, 64) else side for side in shape[:2]) + shape[2:]
              for name, shape in layouts.hed().items()}  # fmt: skip
    torch.save({name: torch.zeros(shape) for name, shape in widths.items()}, path)
    net = load_hed(path, torch.device("cpu"))
    assert 14_500_000 < module_bytes(net) / 4 < 15_000_000
    with ByteCounter([net]) as counted:
        hed_edges(net, picture(64, 64))
    planned = find_preprocessor("hed").numbers_a_pixel * 4 * 64 * 64
    assert 0.8 * planned < counted.peak <= planned


def test_detectors_are_planned_and_on_the_card_only_while_they_look(
    files: Files, card: CountedCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = files.folders.detectors[0]
    folder.mkdir(exist_ok=True)
    net = yolo_modules.randomised(yolo_modules.version_8()).half()
    path = yolo_file.saved(net, folder / "face.pt", monkeypatch)
    tabs: Any = {"ad_enable": True, "tabs": [{"ad_model": "face.pt"}, {"ad_model": "mediapipe_face_full"}]}
    found = job(files.checkpoint, "a", scripts={TITLE: checked_arguments(DETAIL, tabs)}).resolved
    size = detector_sizes(found, files.folders)[path]
    # Pictures of a plot may have other detectors than the job.
    plotted = found.request.model_copy(update={"scripts": {}})
    plot = found.model_copy(
        update={"request": plotted, "variants": (Variant(fields={"scripts": found.request.scripts}),)}
    )
    assert detector_sizes(plot, files.folders) == {path: size}
    detect = open_detector(Detector(name=path.name, path=path))
    models = files.models(found, SharedCache())
    models.pipeline(files.checkpoint)
    with models.on_device(detect):
        detect(np.zeros((64, 64, 3), np.uint8), 0.5)
    assert (card.live, card.moves) == (0, 1)
    assert 0 < card.peak <= size.weights
    # What OpenCV runs has no module to be moved.
    with models.on_device(open_detector(Detector(name="mediapipe_face_full"))):
        assert not card.live


def test_a_map_alone_is_made_on_the_card_which_what_lies_there_leaves(
    files: Files, card: CountedCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In Extras, where no checkpoint is needed."""
    keeper, left = UpscalerKeeper(CPU, files.folders), list[int]()

    def make_room() -> bool:
        left.append(card.moves)
        return True

    monkeypatch.setattr(UpscalerKeeper, "device_of", lambda self, part, architecture="": CARD)
    monkeypatch.setattr(upscalers_module, "free_memory", lambda device: 10**6)
    keeper.make_room = make_room
    runs = Preprocessors(files.folders.annotators, keeper.features, keeper.on_device)
    runs.run(find_preprocessor("hed"), picture(64, 64), Settings(resolution=64))
    assert left == [0]
    assert (card.live, card.moves) == (0, 1)
