/* SPDX-License-Identifier: Apache-2.0
 *
 * What a tokenizer is made of; for this folder alone.
 *
 * A text is a run of bytes each of which remembers the bytes of the original that it stands for. Ranges of it are either
 * tokens already or text still. Steps rewrite each range of text (normalise, replace, prepend) or split it; then the
 * model makes tokens of each.
 */
#ifndef TT_TOKENIZER_PRIVATE_H
#define TT_TOKENIZER_PRIVATE_H

#include <cjson/cJSON.h>

#include "base/text.h"
#include "tokenizer/characters.h"
#include "tokenizer/tokenizer.h"

/* ---- text.c ---- */

struct tt_aligned {
    char *text;
    uint32_t *start, *end; /* [length] bytes of the original */
    size_t length, capacity;
};
void tt_aligned_add(struct tt_aligned *text, const char *bytes, size_t count, uint32_t start, uint32_t end);
/* Bytes from…to of another text with their places. */
void tt_aligned_copy(struct tt_aligned *text, const struct tt_aligned *from, size_t first, size_t last);
void tt_aligned_free(struct tt_aligned *text);

struct tt_range {
    uint32_t from, to; /* bytes of the text at this stage */
    int32_t token;     /* -1: text still */
    bool special;      /* of the token */
};
struct tt_ranges {
    struct tt_range *items;
    size_t count, capacity;
};
/* Empty ranges of text are left out, as everywhere. */
void tt_ranges_add(struct tt_ranges *ranges, size_t from, size_t to, int32_t token, bool special);

/* What a pattern found in a text, from its first byte to its last without gaps. */
struct tt_match {
    uint32_t from, to;
    bool found;
};
struct tt_matches {
    struct tt_match *items;
    size_t count, capacity;
};
void tt_matches_add(struct tt_matches *matches, size_t from, size_t to, bool found);

/* ---- map.c: from 64 bits to 32, and words in it ---- */

struct tt_map {
    uint64_t *keys; /* key + 1 */
    uint32_t *values;
    size_t count, capacity;
};
void tt_map_set(struct tt_map *map, uint64_t key, uint32_t value);
bool tt_map_get(const struct tt_map *map, uint64_t key, uint32_t *value);
void tt_map_free(struct tt_map *map);

/* Nodes are numbers, 0 the root. */
struct tt_trie {
    struct tt_map edges; /* node << 8 | byte -> node */
    int32_t *values;     /* [nodes] -1: no word ends here */
    size_t nodes, capacity;
};
void tt_trie_add(struct tt_trie *trie, const char *word, size_t length, int32_t value);
/* 0: no such child. */
uint32_t tt_trie_step(const struct tt_trie *trie, uint32_t node, unsigned char byte);
/* Value of the longest word at the start of `text`, -1: none. */
int32_t tt_trie_longest(const struct tt_trie *trie, const char *text, size_t length, size_t *matched);
void tt_trie_free(struct tt_trie *trie);

/* ---- vocabulary.c ---- */

enum { TT_PIECE_UNUSED = 5 }; /* GGUF's number for it */
struct tt_piece {
    uint64_t offset; /* of its text */
    uint32_t length;
    bool present;
    uint8_t type; /* GGUF's token type; 0: not known */
    double score;
};
struct tt_vocabulary {
    struct tt_string text;
    struct tt_piece *pieces; /* [count] by id */
    size_t count, capacity;
    size_t size;             /* ids below are the model's own, further ones are helpers of merges */
    uint32_t *slots;         /* id + 1 */
    size_t nslots, used;
    uint32_t longest; /* bytes */
};
#define TT_MAX_TOKENS (1 << 22)
/* -1: the id is out of bounds. A piece that is there already gets the new id. */
int tt_vocabulary_add(struct tt_vocabulary *vocabulary, int64_t id, const char *text, size_t length);
/* Spelling of an id that the model itself must not find. */
int tt_vocabulary_name(struct tt_vocabulary *vocabulary, int64_t id, const char *text, size_t length);
int32_t tt_vocabulary_find(const struct tt_vocabulary *vocabulary, const char *text, size_t length); /* -1 */
const char *tt_vocabulary_piece(const struct tt_vocabulary *vocabulary, int32_t id, size_t *length); /* NULL */
void tt_vocabulary_free(struct tt_vocabulary *vocabulary);

/* ---- pattern.c: regular expressions as Oniguruma (Ruby) reads them ---- */

struct tt_pattern;
struct tt_pattern *tt_pattern_new(const char *text, bool literal, struct tt_error *error);
void tt_pattern_free(struct tt_pattern *pattern);
int tt_pattern_find(const struct tt_pattern *pattern, const char *text, size_t length, struct tt_matches *out,
                    struct tt_error *error);
/* pattern_translate.c: into PCRE2's syntax; the caller's. NULL with the reason in *error. */
char *tt_pattern_translate(const char *text, bool scripts, struct tt_error *error);

/* ---- steps: normalize.c, charsmap.c, split.c ---- */

struct tt_step;
struct tt_view {
    const struct tt_aligned *text;
    size_t from, to;
    bool after_token; /* nothing or a token stands before it */
};

enum tt_behavior { TT_REMOVED, TT_ISOLATED, TT_MERGED_WITH_PREVIOUS, TT_MERGED_WITH_NEXT, TT_CONTIGUOUS };
enum tt_prepend { TT_PREPEND_ALWAYS, TT_PREPEND_FIRST, TT_PREPEND_NEVER, TT_PREPEND_AFTER_TOKEN };

typedef int tt_rewrite(const struct tt_step *step, const struct tt_view *in, struct tt_aligned *out, struct tt_error *error);
typedef int tt_find(const struct tt_step *step, const char *text, size_t length, struct tt_matches *out,
                    struct tt_error *error);
/* What becomes of a character: bytes written to `out`, which holds 16. */
typedef size_t tt_each(int32_t character, char *out);

struct tt_step { /* exactly one of rewrite and find is set */
    tt_rewrite *rewrite;
    tt_find *find;
    tt_each *each;
    tt_class *class;
    struct tt_pattern *pattern;
    char *content; /* what is put in, or looked for */
    int number;    /* options of the step */
    bool left, right, invert, unless_there;
    enum tt_behavior behavior;
    struct tt_charsmap *charsmap;
};
struct tt_steps {
    struct tt_step *items;
    size_t count;
};
struct tt_step *tt_steps_add(struct tt_steps *steps, const struct tt_step *step);
void tt_steps_free(struct tt_steps *steps);

tt_rewrite tt_rewrite_unicode; /* number: options of utf8proc */
tt_rewrite tt_rewrite_each, tt_rewrite_strip, tt_rewrite_replace, tt_rewrite_prepend, tt_rewrite_bytes;
tt_rewrite tt_rewrite_charsmap, tt_rewrite_unigram_text;
tt_each tt_each_lower, tt_each_clean, tt_each_spaced, tt_each_without_marks, tt_each_without_nonspacing, tt_each_nmt;
tt_each tt_each_word_clean, tt_each_base, tt_each_simple_lower;
tt_find tt_find_pattern, tt_find_class, tt_find_words, tt_find_fixed;
enum { TT_NFD, TT_NFC, TT_NFKD, TT_NFKC }; /* for tt_rewrite_unicode */

/* Rules of SentencePiece's normaliser, compiled: 4 bytes length, a double array, replacements. Bytes are copied. */
struct tt_charsmap *tt_charsmap_new(const uint8_t *bytes, size_t count, struct tt_error *error);
void tt_charsmap_free(struct tt_charsmap *map);

/* ---- added.c ---- */

struct tt_added_token {
    char *content;
    size_t length;
    int32_t id;
    bool lstrip, rstrip, single_word, normalized, special;
    bool in_text; /* GGUF: looked for even where the names of special tokens are plain text */
};
struct tt_added {
    struct tt_added_token *items;
    size_t count;
    struct tt_trie before, after; /* normalising; values are indices */
    bool longest_first;           /* GGUF: the longest name anywhere first, then shorter ones in what is left */
};
void tt_added_add(struct tt_added *added, const struct tt_added_token *token);
/* Splits ranges[0] of `text`, which is text, into tokens and text. */
void tt_added_split(const struct tt_added *added, const struct tt_aligned *text, const struct tt_range *range, bool normalized,
                    bool plain, struct tt_ranges *out);
void tt_added_free(struct tt_added *added);

/* ---- models: bpe.c, unigram.c, wordpiece.c ---- */

struct tt_symbol { /* a piece of a word on its way to a token */
    int32_t previous, next, id;
    uint32_t from, length; /* bytes of the text; length 0: merged away */
};
struct tt_candidate { /* two neighbours that may be merged */
    double order;
    int32_t position, merged;
};
struct tt_best { /* at each byte of a word: the best way to there, and on from there */
    double score;
    int32_t from, id, to, next;
};
struct tt_call { /* one text on its way */
    const struct tt_tokenizer *tokenizer;
    struct tt_aligned text, other;
    struct tt_ranges ranges, next;
    struct tt_matches matches;
    struct tt_tokens *out;
    struct tt_symbol *symbols;
    struct tt_candidate *heap;
    struct tt_best *best;
    size_t nsymbols, nheap, symbol_capacity, heap_capacity, best_capacity;
    struct tt_error *error;
};
typedef int tt_pieces(struct tt_call *call, const struct tt_range *word);
tt_pieces tt_pieces_bpe;        /* merges by rank, unknown characters as tokenizer.json says */
tt_pieces tt_pieces_bpe_gguf;   /* merges by rank, unknown ones as bytes */
tt_pieces tt_pieces_scores;     /* merges by score */
tt_pieces tt_pieces_unigram, tt_pieces_wordpiece, tt_pieces_greedy, tt_pieces_whole;

/* A token of bytes from…to of the call's text. */
void tt_call_token(struct tt_call *call, int32_t id, size_t from, size_t to);

struct tt_merge {
    uint32_t rank;
    int32_t merged;
};

/* ---- decode.c ---- */

struct tt_decoder {
    const struct tt_decoder_kind *kind;
    struct tt_pattern *pattern;
    char *content;
    int start, stop;
    bool flag;
};
struct tt_decoders {
    struct tt_decoder *items;
    size_t count;
    char *unsupported; /* what the file asks for in vain; told when it is needed */
};
/* False: no decoder of that name. */
bool tt_decoders_add(struct tt_decoders *decoders, const char *name, const struct tt_decoder *settings);
void tt_decoders_free(struct tt_decoders *decoders);

#define TT_TEMPLATE_TEXT (-1)

struct tt_tokenizer {
    char *path, *kind;
    struct tt_vocabulary vocabulary;
    struct tt_added added;
    struct tt_steps normalize, split;
    tt_pieces *pieces;
    int32_t *template; /* [ntemplate] ids, and TT_TEMPLATE_TEXT */
    size_t ntemplate;
    int32_t bos, unknown; /* -1: none */
    struct tt_decoders decoders;
    bool joined_by_spaces; /* decoding without any decoder */

    /* BPE */
    struct tt_map merge_of; /* left << 32 | right -> index of merges */
    struct tt_merge *merges;
    size_t nmerges;
    char *prefix, *suffix; /* of continuing pieces, of a word's last one; NULL: none */
    int32_t byte_ids[256]; /* <0x00>… -1: none */
    bool fuse_unknown, byte_fallback, ignore_merges, raw_bytes, whole_newlines;
    /* Unigram */
    struct tt_trie words;
    double unknown_score;
    bool by_text; /* what was chosen is looked up by its text again */
    /* WordPiece */
    size_t max_characters;
};

void tt_find_byte_tokens(struct tt_tokenizer *tokenizer);
/* False: a part is not in the vocabulary. `helpers`: it then gets an id of its own. */
bool tt_add_merge(struct tt_tokenizer *tokenizer, const char *left, size_t nleft, const char *right, size_t nright,
                  bool first_wins, bool helpers);

/* json.c, gguf.c: fill what tt_tokenizer_open made. */
struct tt_model;
int tt_tokenizer_load_json(struct tt_tokenizer *tokenizer, const char *path, struct tt_error *error);
int tt_tokenizer_load_gguf(struct tt_tokenizer *tokenizer, const struct tt_model *model, const char *data,
                           struct tt_error *error);

/* json_parts.c: a normalizer, pre_tokenizer, decoder of the file as steps. */
struct tt_json_parts {
    struct tt_tokenizer *tokenizer;
    const char *path;
    struct tt_error *error;
};
int tt_json_normalizer(struct tt_json_parts *parts, const cJSON *item);
int tt_json_pre_tokenizer(struct tt_json_parts *parts, const cJSON *item);
int tt_json_decoder(struct tt_json_parts *parts, const cJSON *item);
/* Every member is one of the words of `known`; else one line. */
int tt_json_members(struct tt_json_parts *parts, const cJSON *item, const char *where, const char *known);
const char *tt_json_word(const cJSON *item, const char *name, const char *fallback);
bool tt_json_flag(const cJSON *item, const char *name, bool fallback);

#endif
