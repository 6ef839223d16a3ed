"""What the engine says about its machine: at its start, with every checkpoint, and after it is given back."""

from pathlib import Path

from modules.engine.model_keeper import ModelKeeper
from modules.hardware.choice import HardwareRequest, choose_hardware
from modules.hardware.device import module_bytes
from modules.jobs.engine_process import EngineNews
from modules.jobs.job import EngineStatus
from modules.jobs.supervisor import Patience, Supervisor
from modules.protocol import EngineReady, MachineFacts, decode, encode
from tests.checkpoints import write_tiny_checkpoint
from tests.engine.conftest import checkpoint_at
from tests.engine.test_models import Line


def test_the_facts_follow_the_checkpoint(tmp_path: Path) -> None:
    line = Line()
    models = ModelKeeper(choose_hardware(HardwareRequest(use_cpu=True, no_half=True)), line.emit)
    before = models.facts()
    assert (before.memory_mode, before.weights) == (None, 0)
    assert before.total_memory is not None and before.free_memory is not None
    assert before.total_memory > before.free_memory > 0
    model = models.load(checkpoint_at(write_tiny_checkpoint(tmp_path / "tiny.safetensors"))).model
    during = line.of(MachineFacts)[-1]
    assert during.weights == sum(map(module_bytes, (model.unet, model.vae, *model.text_encoders))) > 10**6
    assert (during.device, during.memory_mode, during.unet_dtype, during.attention) == ("cpu", "full", "fp32", "sdp")
    assert "--no-half" in during.dtype_why and during.memory_why and during.attention_why
    models.unload()
    assert line.of(MachineFacts)[-1].weights == 0


def test_the_server_keeps_the_last_facts_until_the_engine_dies() -> None:
    seen: list[EngineStatus] = []

    def launch(number: int, post: object) -> object:
        raise OSError("nothing is started here")

    news: list[EngineNews] = []
    supervisor = Supervisor(launch, news.append, seen.append, Patience())  # type: ignore[arg-type]  # a fake stands in
    facts = ModelKeeper(choose_hardware(HardwareRequest(use_cpu=True)), lambda event: None).facts()
    supervisor.heard(EngineReady(pid=1, device="cpu", hardware="a CPU"))
    supervisor.heard(decode(encode(facts)))
    assert supervisor.status.facts == facts
    assert seen[-1].facts == facts
    supervisor.start()
    supervisor.ended(news[-1])  # type: ignore[arg-type]  # the last message is that kind
    assert supervisor.status.facts is None
