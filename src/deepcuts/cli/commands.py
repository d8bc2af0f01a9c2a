"""All commands by name, with one line about each: `deepcuts --help` lists them without loading what they need."""

# name → (module below deepcuts.cli, attribute, what it does). A test compares the lines with the commands' own.
COMMANDS: dict[str, tuple[str, str, str]] = {
    "model": ("home", "model",
                  "Make a model from plays and music: library, matching, sound, factors, encoder, in one command."),
    "update": ("home", "update",
                  "Bring a model up to date after new plays or files: only what is stale is done again."),
    "add": ("home", "add", "Hear new tracks and add them to a model: where each lands, and who would like it."),
    "serve": ("serve", "serve", "Serve a model: a page, REST under /api, OpenSubsonic under /rest for music players."),
    "index": ("index", "index",
              "Load a model's vectors into PostgreSQL with pgvector, for `deepcuts serve --index`."),
    "for-user": ("model", "for_user", "Songs for known users, or for somebody new who likes and dislikes a few songs."),
    "audience": ("model", "audience", "The listeners most likely to care for a song, with the artists they play most."),
    "playlist": ("model", "playlist",
                  "A playlist around a few songs: the seeds first, artists spaced, no second copies."),
    "playlists": ("playlists", "playlists",
                  "Write For you, Deep cuts and New this week of each listener as m3u8 files, which media servers "
                  "import."),
    "place": ("model", "place", "Hear a new song and list the known songs that the same people would play."),
    "library": ("library", "library",
                  "Read the tags of a folder of music: one table of songs, for --songs, `match` and models."),
    "match": ("library", "match",
                  "Find the songs of a history in a library: the same plays, under the library's ids and names."),
    "data": ("data", "app", "Read plays from any source, make a planted world, split songs."),
    "factors": ("factors", "factors", "Factorise plays into users and songs (weighted matrix factorisation)."),
    "audio": ("audio", "app", "Features of every song below a folder: parallel, resumable."),
    "predict": ("predict", "app", "Learn from sound to factors, and predict."),
    "recommend": ("recommend", "recommend_songs",
                  "Rank songs for users: the best k for each, from those never played, those played, or both."),
    "similar": ("recommend", "similar",
                  "Songs whose listeners would be the same: cosine of usage patterns, observed or predicted."),
    "evaluate": ("evaluate", "evaluate_systems",
                  "Rank the hidden songs for every user and score the lists: AUC and mAP@500 with intervals over "
                  "users and songs."),
    "trial": ("trial", "trial",
                  "Try an encoder: folds, seeds, rivals, controls, an audit, intervals, and scores by user; one "
                  "command."),
    "compare": ("compare", "compare_systems",
                "Compare two systems on one split: paired effects with intervals, for all songs and by listeners of "
                "the song."),
    "bundle": ("model", "bundle", "Put everything an answer needs into one folder that can be handed on: a model."),
    "explore": ("explore", "app", "See what factors know: tags, artists, similar songs, a map."),
    "experiment": ("experiment", "app", "Run a benchmark; write its numbers and the pages that show them."),
    "reproduce": ("reproduce", "reproduce",
                  "Every table and figure of the paper on a planted world, beside the paper's own numbers."),
    "settings": ("settings", "settings",
                  "Print the settings of a command with defaults and meanings, as a file for --settings; without "
                  "one, list commands."),
    "show": ("doctor", "show", "Print what a folder holds: kind, shape, settings, parents (JSON)."),
    "doctor": ("doctor", "doctor",
                  "Check this machine: packages, kernels, codecs, CUDA. Exit code 6 when something needed is missing."),
}  # fmt: skip
