"""Settings about the program itself: start, log, API."""

from modules.settings.declare import choice, switch, text, whole

SYSTEM, API = "system", "API"
AUTOMATIC, EVERYBODY, BROWSER = "Automatic", "Everybody", "The browser that started them"

OPTIONS = (
    choice(SYSTEM, "auto_launch_browser", "Local", "Open the browser at start", ("Disable", "Local", "Remote")),
    switch(SYSTEM, "show_warnings", False, "Show warnings on the page", hint="those of the engine and of libraries"),
    switch(SYSTEM, "samples_log_stdout", False, "Log every saved file"),
    switch(SYSTEM, "multiple_tqdm", True, "Second progress bar in the terminal for the whole job"),
    switch(SYSTEM, "list_hidden_files", True, "List models in hidden folders"),
    switch(
        SYSTEM,
        "disable_mmap_load_safetensors",
        False,
        "Read .safetensors files at once instead of mapping them",
        travels=True,
        hint="for network drives; takes as much more memory while a file is read",
    ),
    whole(SYSTEM, "queue_waiting_limit", 1000, "Jobs that may wait in the queue", 1, 100_000),
    whole(
        SYSTEM,
        "queue_ended_kept",
        10_000,
        "Ended jobs that the queue remembers",
        0,
        1_000_000,
        hint="older ones are forgotten; their saved pictures stay",
    ),
    choice(
        SYSTEM,
        "queue_sharing",
        AUTOMATIC,
        "Who sees the prompts and pictures of the queue's jobs",
        (AUTOMATIC, EVERYBODY, BROWSER),
        hint="automatic: everybody, unless other machines can reach this server without a login; "
        "where several users log in, each sees their own",
    ),
    whole(SYSTEM, "memmon_poll_rate", 8, "Memory readings per second while a job runs", 0, 40, travels=True),
    # On in A1111: whoever can call the API could then make this server fetch what only it can reach.
    switch(API, "api_enable_requests", False, "Let API requests name pictures by http address", restrict_api=True),
    switch(API, "api_forbid_local_requests", True, "Refuse such addresses in the own network", restrict_api=True),
    text(API, "api_useragent", "", "User agent of such requests", restrict_api=True),
)
