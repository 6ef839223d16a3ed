"""Settings about prompts that are drawn of templates, by the keys of sd-dynamic-prompts."""

from modules.settings import declare

OPTIONS = (
    declare.text(
        "dynamic_prompts",
        "wildcard_dir",
        "",
        "Another folder of wildcards",
        hint="searched before the folder wildcards and those of A1111's extensions",
        restrict_api=True,
    ),
)
