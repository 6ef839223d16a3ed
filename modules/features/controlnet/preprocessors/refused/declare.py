"""Preprocessors that requests and pictures of other programs name and that can't be used here, with the reason."""

from __future__ import annotations

from typing import Final

_INSIGHTFACE: Final = (
    "needs the face recognition of InsightFace (insightface/models/antelopev2 and buffalo_l), which is not here; "
    "ip-adapter-plus-face works with ip-adapter-auto."
)
_PROGRAM: Final = "is a TorchScript program ({}), and programs are not run."
_REFUSED: Final = {
    **dict.fromkeys(
        (
            *("ip-adapter_face_id", "ip-adapter_face_id_plus", "ip-adapter_pulid", "instant_id_face_embedding"),
            *("instant_id_face_keypoints", "InsightFace+CLIP-H (IPAdapter)"),
        ),
        _INSIGHTFACE,
    ),
    "densepose": _PROGRAM.format("densepose_r50_fpn_dl.torchscript"),
    "densepose_parula": _PROGRAM.format("densepose_r50_fpn_dl.torchscript"),
    "depth_leres++": "merges by a second network (leres/latest_net_G.pth), which is not here; depth_leres works.",
    "normal_dsine": "has a network (normal_dsine/dsine.pt) that is not here; normal_bae and normal_midas work.",
    "depth_hand_refiner": "has a network (hand_refiner/graphormer_hand_state_dict.bin) that is not here; "
    "depth_anything_v2 works.",
    "mediapipe_face": "has the networks of MediaPipe, which are not here; openpose_faceonly works.",
    "mobile_sam": "has a network (mobile_sam/mobile_sam.pt) that is not here; oneformer_ade20k works.",
    "seg_anime_face": "has a network (anime_face_segment/UNet.pth) that is not here; oneformer_ade20k works.",
    "anime_face_segment": "has a network (anime_face_segment/UNet.pth) that is not here; oneformer_ade20k works.",
    **dict.fromkeys(
        ("segmentation", "seg_ufade20k"),
        "has a network (uniformer/upernet_global_small.pth) that is not here; oneformer_ade20k (seg_ofade20k) has the "
        "same classes and colours.",
    ),
}
_BY_NAME: Final = {name.casefold(): why for name, why in _REFUSED.items()}


def why_refused(name: str) -> str | None:
    """The sentence about a preprocessor that can't be used, by its name in any case; None for any other name."""
    own = name.strip()
    why = _BY_NAME.get(own.casefold())
    return None if why is None else f"The preprocessor {own} {why}"
