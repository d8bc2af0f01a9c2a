/* Lines of user, song and count, split and their ids numbered; what it stands in for is rows.py `_split_fast`.
 *
 * A Table numbers user ids and song ids from 0 in the order they are first met, over all the blocks it is shown.
 * table.split(block, separator, user, song, count) fills three int32 arrays and gives the number of rows; or None when
 * a line is anything but two plain ids and a count of 1 to 9 digits above zero: then polars or the csv module takes
 * the block, and they know what to say of it. table.ids(0 or 1) gives the user or the song ids, a line each.
 *
 * The rows of a user mostly follow each other, so each line is first held against the user of the last one. Songs are
 * looked up in batches: while the first lines of a batch are found, the table's cells for the others come from memory.
 */
#include "_native.h"

enum { BATCH = 32, ODD = -1, NO_MEMORY = -2 };

/* A cell of the hash table: half the hash, the number of the id plus one (0 is free), and where its text begins. */
struct cell {
    uint32_t mark, number;
    size_t begin;
};

struct ids {
    struct cell *cells;
    size_t mask;      /* cells - 1, a power of two less one; at most half of the cells are taken */
    size_t n;         /* ids there are */
    char *text;       /* all ids, each followed by a line feed, which stands in none of them */
    size_t n_text, text_room;
};

struct line {
    const char *user, *song;
    size_t n_user, n_song;
    uint64_t hash; /* of the song */
    int32_t count;
};

static uint64_t hash_of(const char *s, size_t n)
{
    uint64_t hash = n, word = 0;
    const char *begin = s;
    for (; n > 8; s += 8, n -= 8) {
        memcpy(&word, s, 8);
        hash = (hash ^ word) * 0x9E3779B97F4A7C15u;
        hash ^= hash >> 32;
    }
    if (s > begin || n == 8)
        memcpy(&word, s + n - 8, 8); /* the last eight bytes may overlap those before */
    else
        memcpy(&word, s, n);
    hash = (hash ^ word) * 0x9E3779B97F4A7C15u;
    hash ^= hash >> 29;
    hash *= 0xBF58476D1CE4E5B9u;
    return hash ^ hash >> 32;
}

/* Four times the cells; what is there moves to its new place. */
static int grow(struct ids *ids)
{
    const size_t n_cells = ids->cells ? 4 * (ids->mask + 1) : 1 << 14;
    struct cell *cells = n_cells / 2 <= INT32_MAX ? calloc(n_cells, sizeof *cells) : NULL;
    if (!cells)
        return NO_MEMORY;
    for (size_t old = 0; ids->cells && old <= ids->mask; old++) {
        const struct cell cell = ids->cells[old];
        if (!cell.number)
            continue;
        const char *id = ids->text + cell.begin;
        size_t at = hash_of(id, (size_t)((const char *)memchr(id, '\n', ids->n_text - cell.begin) - id)) & (n_cells - 1);
        while (cells[at].number)
            at = (at + 1) & (n_cells - 1);
        cells[at] = cell;
    }
    free(ids->cells);
    ids->cells = cells;
    ids->mask = n_cells - 1;
    return 0;
}

/* A new id, for the free cell `at`. Only here are its bytes looked at: printable ASCII without quotes, or ODD. */
static int add(struct ids *ids, size_t at, uint64_t hash, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (s[i] < ' ' || s[i] > '~' || s[i] == '"')
            return ODD;
    if (ids->n_text + n + 1 > ids->text_room) {
        const size_t room = 2 * (ids->n_text + n + 1);
        char *text = realloc(ids->text, room);
        if (!text)
            return NO_MEMORY;
        ids->text = text;
        ids->text_room = room;
    }
    memcpy(ids->text + ids->n_text, s, n);
    ids->text[ids->n_text + n] = '\n';
    ids->n++;
    ids->cells[at] = (struct cell){(uint32_t)(hash >> 32), (uint32_t)ids->n, ids->n_text};
    ids->n_text += n + 1;
    return ids->n > ids->mask / 2 ? grow(ids) : 0;
}

/* The number of an id, a new one if need be; ODD or NO_MEMORY. */
static int32_t number_of(struct ids *ids, uint64_t hash, const char *s, size_t n)
{
    size_t at = hash & ids->mask;
    for (const struct cell *cell; (cell = &ids->cells[at])->number; at = (at + 1) & ids->mask)
        if (cell->mark == (uint32_t)(hash >> 32) && ids->n_text - cell->begin > n &&
            ids->text[cell->begin + n] == '\n' && !memcmp(ids->text + cell->begin, s, n))
            return (int32_t)cell->number - 1;
    const int wrong = add(ids, at, hash, s, n);
    return wrong ? wrong : (int32_t)(ids->n - 1);
}

/* The line at `s`: where the next one begins, or NULL if it is odd. `last` is the line before: its user may go on. */
static const char *split_line(const char *s, const char *stop, char separator, const struct line *last, struct line *line)
{
    const size_t n = last->n_user;
    const char *tab;
    if (n && (size_t)(stop - s) > n && s[n] == separator && !memcmp(s, last->user, n))
        tab = s + n; /* an id holds no separator, so this is the whole of it */
    else if (!(tab = memchr(s, separator, (size_t)(stop - s))))
        return NULL;
    const char *song = tab + 1, *end = memchr(song, separator, (size_t)(stop - song));
    if (tab == s || !end || end == song)
        return NULL;
    *line = (struct line){s, song, (size_t)(tab - s), (size_t)(end - song), 0, 0};
    const char *digit = end + 1;
    for (; digit < stop && *digit >= '0' && *digit <= '9' && digit - end < 10; digit++)
        line->count = 10 * line->count + (*digit - '0');
    if (!line->count || (digit < stop && *digit != '\n'))
        return NULL;
    return digit + (digit < stop);
}

/* The rows of a block; ODD or NO_MEMORY. The arrays have room for one row in 6 bytes: no line is shorter. */
static Py_ssize_t split(
    struct ids *users, struct ids *songs, const char *s, Py_ssize_t length, char separator, int32_t *user, int32_t *song,
    int32_t *count)
{
    const char *stop = s + length;
    struct line lines[BATCH], last = {0};
    int32_t last_user = 0;
    Py_ssize_t row = 0;
    if ((!users->cells && grow(users)) || (!songs->cells && grow(songs)))
        return NO_MEMORY;
    while (s < stop) {
        int n = 0;
        for (; n < BATCH && s < stop; n++) {
            s = split_line(s, stop, separator, n ? &lines[n - 1] : &last, &lines[n]);
            if (!s)
                return ODD;
            lines[n].hash = hash_of(lines[n].song, lines[n].n_song);
            __builtin_prefetch(&songs->cells[lines[n].hash & songs->mask]);
        }
        for (int i = 0; i < n; i++) {
            const struct cell *cell = &songs->cells[lines[i].hash & songs->mask];
            if (cell->number)
                __builtin_prefetch(songs->text + cell->begin);
        }
        for (int i = 0; i < n; i++, row++) {
            const struct line *line = &lines[i];
            if (line->n_user != last.n_user || memcmp(line->user, last.user, line->n_user))
                last_user = number_of(users, hash_of(line->user, line->n_user), line->user, line->n_user);
            const int32_t this_song = number_of(songs, line->hash, line->song, line->n_song);
            if (last_user < 0 || this_song < 0)
                return last_user < 0 ? last_user : this_song;
            user[row] = last_user;
            song[row] = this_song;
            count[row] = line->count;
            last = *line;
        }
    }
    return row;
}

typedef struct {
    PyObject_HEAD
    struct ids ids[2]; /* of users and of songs */
    int busy;          /* a thread is in `split`, which changes them */
} Table;

static PyObject *table_split(PyObject *self, PyObject *args)
{
    Table *table = (Table *)self;
    PyObject *arrays[4];
    Py_buffer b[4];
    int separator;
    PyObject *answer = NULL;
    if (!PyArg_ParseTuple(args, "OiOOO", &arrays[0], &separator, &arrays[1], &arrays[2], &arrays[3]))
        return NULL;
    const int n_held = hold(arrays, b, 4, 1u << 1 | 1u << 2 | 1u << 3);
    if (n_held < 4)
        goto done;
    for (int i = 1; i < 4; i++)
        if (b[i].itemsize != 4 || b[i].ndim != 1 || b[i].shape[0] < (b[0].len + 5) / 6) {
            PyErr_SetString(PyExc_ValueError, "split: an array is not int32 with room for a row in 6 bytes");
            goto done;
        }
    if (table->busy || (separator != '\t' && (separator < ' ' || separator > '/' || separator == '"') && separator != ';' &&
                        separator != '|')) {
        PyErr_SetString(PyExc_ValueError, "split: the separator is not a plain character, or another thread is at it");
        goto done;
    }
    Py_ssize_t n;
    table->busy = 1;
    Py_BEGIN_ALLOW_THREADS
    n = split(&table->ids[0], &table->ids[1], b[0].buf, b[0].len, (char)separator, b[1].buf, b[2].buf, b[3].buf);
    Py_END_ALLOW_THREADS
    table->busy = 0;
    if (n == NO_MEMORY)
        PyErr_NoMemory();
    else
        answer = n == ODD ? Py_NewRef(Py_None) : PyLong_FromSsize_t(n);
done:
    release(b, n_held);
    return answer;
}

static PyObject *table_ids(PyObject *self, PyObject *args)
{
    const Table *table = (Table *)self;
    int which;
    if (!PyArg_ParseTuple(args, "i", &which))
        return NULL;
    if (which < 0 || which > 1 || table->busy) {
        PyErr_SetString(PyExc_ValueError, "ids: of users (0) or of songs (1), and not while a block is split");
        return NULL;
    }
    const struct ids *ids = &table->ids[which];
    return PyBytes_FromStringAndSize(ids->text, (Py_ssize_t)ids->n_text);
}

static void table_free(PyObject *self)
{
    Table *table = (Table *)self;
    PyTypeObject *type = Py_TYPE(self);
    for (int i = 0; i < 2; i++) {
        free(table->ids[i].cells);
        free(table->ids[i].text);
    }
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

static PyMethodDef table_methods[] = {
    {"split", table_split, METH_VARARGS,
     "split(block, separator, user, song, count): rows written to the arrays; None if a line is out of the ordinary."},
    {"ids", table_ids, METH_VARARGS, "ids(0) or ids(1): the ids of users or of songs, a line each, by their number."},
    {NULL, NULL, 0, NULL}};

static PyType_Slot table_slots[] = {
    {Py_tp_doc, "Numbers for the ids of lines of user, song and count."},
    {Py_tp_methods, table_methods},
    {Py_tp_dealloc, table_free},
    {0, NULL}};

static PyType_Spec table_spec = {"deepcuts.kernels._lines.Table", sizeof(Table), 0, Py_TPFLAGS_DEFAULT, table_slots};

static PyMethodDef methods[] = {INSTRUCTIONS, {NULL, NULL, 0, NULL}};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_lines", "The fast path of rows.py.", 0, methods,
                                    NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__lines(void)
{
    PyObject *made = PyModule_Create(&module);
    PyObject *type = made ? PyType_FromSpec(&table_spec) : NULL;
    if (!type || PyModule_AddObjectRef(made, "Table", type))
        Py_CLEAR(made);
    Py_XDECREF(type);
    return made;
}
