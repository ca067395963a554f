/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls every routine of the tap's table in every form: CBLAS and Fortran, row- and column-major, transposed,
 * leading dimensions larger than needed, C overwritten and updated, negative increments, batches.
 *
 *   calls TRUTH
 *
 * Results go to stdout, so that runs with and without the tap can be compared byte by byte. TRUTH gets one
 * JSON object per call: what a capture must contain, found by this program's own indexing. Memory between
 * rows holds NaN: whoever reads it shows.
 */
#include "blas_names.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROOM = 4096, M = 3, N = 4, K = 5, PAD = 3, BATCH_SIZE = 3 };

static FILE *truth;
static int operands; /* of the call being written */
static unsigned state = 1;

/* Small quarters: exact in every type, also as bf16. */
static double next_value(void)
{
    state = state * 1103515245u + 12345u;
    return (double)((int)(state >> 16 & 15) - 7) / 4;
}

static void begin(const char *op, const char *routine)
{
    fprintf(truth, "{\"op\":\"%s\",\"routine\":\"%s\",\"operands\":[", op, routine);
    operands = 0;
}

static void end(void)
{
    fprintf(truth, "]}\n");
}

static void begin_operand(const char *role, const char *when, const char *dtype)
{
    fprintf(truth, "%s{\"role\":\"%s\",\"when\":\"%s\",\"dtype\":\"%s\",", operands++ ? "," : "", role, when,
            dtype);
}

/* dims[2] batches of dims[0] by dims[1] elements, read through get(). */
struct layout {
    int rank;        /* 0, 1, 2, or 3 with a leading batch */
    long batch, rows, columns;
    long step, row, column; /* elements from one to the next */
};

#define GATHER(T, name)                                                                                      \
    __attribute__((unused)) static void operand_##T(const char *role, const char *when, const TYPE_##T *data, struct layout l)       \
    {                                                                                                        \
        begin_operand(role, when, name);                                                                     \
        long dims[3] = {l.batch, l.rows, l.columns};                                                         \
        fprintf(truth, "\"shape\":[");                                                                       \
        for (int i = 3 - l.rank, n = 0; n < l.rank; i++, n++)                                                \
            fprintf(truth, "%s%ld", n ? "," : "", dims[i]);                                                  \
        fprintf(truth, "],\"values\":[");                                                                    \
        for (long b = 0, n = 0; b < l.batch; b++)                                                            \
            for (long i = 0; i < l.rows; i++)                                                                \
                for (long j = 0; j < l.columns; j++, n++)                                                    \
                    fprintf(truth, "%s%.17g", n ? "," : "",                                                  \
                            LOAD_##T(data[b * l.step + i * l.row + j * l.column]));                          \
        fprintf(truth, "]}");                                                                                \
    }                                                                                                        \
    __attribute__((unused)) static void fill_##T(TYPE_##T *data, long room)                                                          \
    {                                                                                                        \
        for (long i = 0; i < room; i++)                                                                      \
            data[i] = poison_##T;                                                                            \
    }                                                                                                        \
    __attribute__((unused)) static void set_##T(TYPE_##T *data, struct layout l)                                                     \
    {                                                                                                        \
        for (long b = 0; b < l.batch; b++)                                                                   \
            for (long i = 0; i < l.rows; i++)                                                                \
                for (long j = 0; j < l.columns; j++)                                                         \
                    data[b * l.step + i * l.row + j * l.column] = (TYPE_##T)STORE_##T(next_value());         \
    }                                                                                                        \
    __attribute__((unused)) static void print_##T(const char *routine, const TYPE_##T *data, struct layout l)                        \
    {                                                                                                        \
        printf("%s", routine);                                                                               \
        for (long b = 0; b < l.batch; b++)                                                                   \
            for (long i = 0; i < l.rows; i++)                                                                \
                for (long j = 0; j < l.columns; j++)                                                         \
                    printf(" %.17g", LOAD_##T(data[b * l.step + i * l.row + j * l.column]));                 \
        printf("\n");                                                                                        \
    }

#define poison_F32  NAN
#define poison_F64  NAN
#define poison_F16  0x7e00
#define poison_BF16 0x7fc0
GATHER(F32, "f32")
GATHER(F64, "f64")
GATHER(F16, "f16")
GATHER(BF16, "bf16")

/* The logical matrix op(X) [rows, columns] in memory. */
static struct layout matrix(int row_major, int transposed, long rows, long columns, long leading)
{
    struct layout l = {.rank = 2, .batch = 1, .rows = rows, .columns = columns};
    l.row = row_major != transposed ? leading : 1;
    l.column = row_major != transposed ? 1 : leading;
    return l;
}

static struct layout vector(long n, long increment)
{
    return (struct layout){.rank = 1, .batch = 1, .rows = 1, .columns = n, .column = increment};
}

static long offset(long n, long increment)
{
    return increment < 0 ? -(n - 1) * increment : 0;
}

static const int cblas_order[] = {102, 101}; /* [row_major] */
static const int cblas_trans[] = {111, 112, 113};
static const char *letters[] = {"N", "T", "c"};
#define TEXT_(x) #x
#define TEXT(x)  TEXT_(x)

/* form: bit 0 row-major, 1 Fortran, 2 pad, 3 beta; ta, tb 0…2 */
#define FORMS(form) for (int form = 0; form < 16; form++) if ((form & 3) != 3)

#define GEMM(r, S, A, B, C)                                                                                  \
    void NAME_FORTRAN(r)(const char *, const char *, const INT *, const INT *, const INT *,                  \
                         const TYPE_##S *, const TYPE_##A *, const INT *, const TYPE_##B *, const INT *,     \
                         const TYPE_##S *, TYPE_##C *, const INT *, size_t, size_t);                         \
    void NAME_CBLAS(r)(int, int, int, INT, INT, INT, TYPE_##S, const TYPE_##A *, INT, const TYPE_##B *, INT, \
                       TYPE_##S, TYPE_##C *, INT);                                                           \
    static void one_##r(int form, int ta, int tb)                                                            \
    {                                                                                                        \
        static TYPE_##A a[ROOM];                                                                             \
        static TYPE_##B b[ROOM];                                                                             \
        static TYPE_##C c[ROOM];                                                                             \
        int row = form & 1, fortran = form & 2;                                                              \
        INT m = M, n = N, k = K, pad = form & 4 ? PAD : 0;                                                   \
        INT lda = (row == !ta ? k : m) + pad, ldb = (row == !tb ? n : k) + pad, ldc = (row ? n : m) + pad;   \
        struct layout la = matrix(row, ta > 0, m, k, lda), lb = matrix(row, tb > 0, k, n, ldb),              \
                      lc = matrix(row, 0, m, n, ldc);                                                        \
        TYPE_##S alpha = (TYPE_##S)STORE_##S(1.5), beta = (TYPE_##S)STORE_##S(form & 8 ? 0.5 : 0.0);         \
        const char *name = fortran ? TEXT(NAME_FORTRAN(r)) : TEXT(NAME_CBLAS(r));                            \
        fill_##A(a, ROOM), fill_##B(b, ROOM), fill_##C(c, ROOM);                                             \
        set_##A(a, la), set_##B(b, lb), set_##C(c, lc);                                                      \
        begin("matmul", name);                                                                               \
        operand_##A("a", "before", a, la);                                                                   \
        operand_##B("b", "before", b, lb);                                                                   \
        if (form & 8)                                                                                        \
            operand_##C("c", "before", c, lc);                                                               \
        if (fortran)                                                                                         \
            NAME_FORTRAN(r)(letters[ta], letters[tb], &m, &n, &k, &alpha, a, &lda, b, &ldb, &beta, c, &ldc,  \
                            1, 1);                                                                           \
        else                                                                                                 \
            NAME_CBLAS(r)(cblas_order[row], cblas_trans[ta], cblas_trans[tb], m, n, k, alpha, a, lda, b,     \
                          ldb, beta, c, ldc);                                                                \
        operand_##C("c", "after", c, lc);                                                                    \
        end();                                                                                               \
        print_##C(name, c, lc);                                                                              \
    }                                                                                                        \
    static void all_##r(void)                                                                                \
    {                                                                                                        \
        FORMS(form)                                                                                          \
            for (int trans = 0; trans < 9; trans++)                                                          \
                one_##r(form, trans / 3, trans % 3);                                                         \
    }

#define STRIDED(r, S)                                                                                        \
    void NAME_FORTRAN(r)(const char *, const char *, const INT *, const INT *, const INT *,                  \
                         const TYPE_##S *, const TYPE_##S *, const INT *, const INT *, const TYPE_##S *,     \
                         const INT *, const INT *, const TYPE_##S *, TYPE_##S *, const INT *, const INT *,   \
                         const INT *, size_t, size_t);                                                       \
    void NAME_CBLAS(r)(int, int, int, INT, INT, INT, TYPE_##S, const TYPE_##S *, INT, INT, const TYPE_##S *, \
                       INT, INT, TYPE_##S, TYPE_##S *, INT, INT, INT);                                       \
    static void one_##r(int form, int ta, int tb)                                                            \
    {                                                                                                        \
        static TYPE_##S a[ROOM], b[ROOM], c[ROOM];                                                           \
        int row = form & 1, fortran = form & 2;                                                              \
        INT m = M, n = N, k = K, pad = form & 4 ? PAD : 0, batch = BATCH_SIZE;                               \
        INT lda = (row == !ta ? k : m) + pad, ldb = (row == !tb ? n : k) + pad, ldc = (row ? n : m) + pad;   \
        INT step_a = 100, step_b = form & 4 ? 0 : 110, step_c = 90;                                          \
        struct layout la = matrix(row, ta > 0, m, k, lda), lb = matrix(row, tb > 0, k, n, ldb),              \
                      lc = matrix(row, 0, m, n, ldc);                                                        \
        TYPE_##S alpha = 1.5, beta = form & 8 ? 0.5 : 0;                                                     \
        const char *name = fortran ? TEXT(NAME_FORTRAN(r)) : TEXT(NAME_CBLAS(r));                            \
        la.rank = lb.rank = lc.rank = 3, la.batch = lb.batch = lc.batch = batch;                             \
        la.step = step_a, lb.step = step_b, lc.step = step_c;                                                \
        fill_##S(a, ROOM), fill_##S(b, ROOM), fill_##S(c, ROOM);                                             \
        set_##S(a, la), set_##S(b, lb), set_##S(c, lc);                                                      \
        begin("matmul", name);                                                                               \
        operand_##S("a", "before", a, la);                                                                   \
        operand_##S("b", "before", b, lb);                                                                   \
        if (form & 8)                                                                                        \
            operand_##S("c", "before", c, lc);                                                               \
        if (fortran)                                                                                         \
            NAME_FORTRAN(r)(letters[ta], letters[tb], &m, &n, &k, &alpha, a, &lda, &step_a, b, &ldb,         \
                            &step_b, &beta, c, &ldc, &step_c, &batch, 1, 1);                                 \
        else                                                                                                 \
            NAME_CBLAS(r)(cblas_order[row], cblas_trans[ta], cblas_trans[tb], m, n, k, alpha, a, lda,        \
                          step_a, b, ldb, step_b, beta, c, ldc, step_c, batch);                              \
        operand_##S("c", "after", c, lc);                                                                    \
        end();                                                                                               \
        print_##S(name, c, lc);                                                                              \
    }                                                                                                        \
    static void all_##r(void)                                                                                \
    {                                                                                                        \
        FORMS(form)                                                                                          \
            for (int trans = 0; trans < 4; trans++)                                                          \
                one_##r(form, trans / 2, trans % 2);                                                         \
    }

/* Two groups: two products m n k, and one with other sizes, transposed and updated in place. */
#define BATCHED(r, S)                                                                                        \
    void NAME_FORTRAN(r)(const char *, const char *, const INT *, const INT *, const INT *,                  \
                         const TYPE_##S *, const TYPE_##S **, const INT *, const TYPE_##S **, const INT *,   \
                         const TYPE_##S *, TYPE_##S **, const INT *, const INT *, const INT *, size_t,       \
                         size_t);                                                                            \
    void NAME_CBLAS(r)(int, const int *, const int *, const INT *, const INT *, const INT *,                 \
                       const TYPE_##S *, const TYPE_##S **, const INT *, const TYPE_##S **, const INT *,     \
                       const TYPE_##S *, TYPE_##S **, const INT *, INT, const INT *);                        \
    static void one_##r(int row, int fortran)                                                                \
    {                                                                                                        \
        static TYPE_##S room[9][256];                                                                        \
        const TYPE_##S *a[3] = {room[0], room[1], room[2]}, *b[3] = {room[3], room[4], room[5]};             \
        TYPE_##S *c[3] = {room[6], room[7], room[8]};                                                        \
        INT m[] = {M, 2}, n[] = {N, 3}, k[] = {K, 6}, size[] = {2, 1}, groups = 2;                           \
        INT lda[] = {(row ? K : M) + 1, (row ? 2 : 6) + 2}, ldb[] = {row ? N : K, row ? 3 : 6};              \
        INT ldc[] = {(row ? N : M) + 2, row ? 3 : 2};                                                        \
        int ta[] = {111, 112}, tb[] = {111, 111};                                                            \
        TYPE_##S alpha[] = {1, 2}, beta[] = {0, 0.5};                                                        \
        struct layout la[3], lb[3], lc[3];                                                                   \
        const char *name = fortran ? TEXT(NAME_FORTRAN(r)) : TEXT(NAME_CBLAS(r));                            \
        begin("matmul_batch", name);                                                                         \
        end();                                                                                               \
        for (int i = 0; i < 3; i++) {                                                                        \
            int g = i == 2;                                                                                  \
            la[i] = matrix(row, g, m[g], k[g], lda[g]);                                                      \
            lb[i] = matrix(row, 0, k[g], n[g], ldb[g]);                                                      \
            lc[i] = matrix(row, 0, m[g], n[g], ldc[g]);                                                      \
            fill_##S(room[i], 256), fill_##S(room[3 + i], 256), fill_##S(room[6 + i], 256);                  \
            set_##S(room[i], la[i]), set_##S(room[3 + i], lb[i]), set_##S(room[6 + i], lc[i]);               \
        }                                                                                                    \
        static TYPE_##S old[256];                                                                            \
        memcpy(old, room[8], sizeof(old));                                                                   \
        if (fortran)                                                                                         \
            NAME_FORTRAN(r)("NT", "NN", m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, &groups, size, 1, 1);  \
        else                                                                                                 \
            NAME_CBLAS(r)(cblas_order[row], ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, groups,    \
                          size);                                                                             \
        for (int i = 0; i < 3; i++) {                                                                        \
            begin("matmul", name);                                                                           \
            operand_##S("a", "before", a[i], la[i]);                                                         \
            operand_##S("b", "before", b[i], lb[i]);                                                         \
            if (i == 2)                                                                                      \
                operand_##S("c", "before", old, lc[i]);                                                      \
            operand_##S("c", "after", c[i], lc[i]);                                                          \
            end();                                                                                           \
            print_##S(name, c[i], lc[i]);                                                                    \
        }                                                                                                    \
    }                                                                                                        \
    static void all_##r(void)                                                                                \
    {                                                                                                        \
        one_##r(0, 0);                                                                                       \
        one_##r(1, 0);                                                                                       \
        one_##r(0, 1);                                                                                       \
    }

#define GEMV(r, S, A, B, C)                                                                                  \
    void NAME_FORTRAN(r)(const char *, const INT *, const INT *, const TYPE_##S *, const TYPE_##A *,         \
                         const INT *, const TYPE_##B *, const INT *, const TYPE_##S *, TYPE_##C *,           \
                         const INT *, size_t);                                                               \
    void NAME_CBLAS(r)(int, int, INT, INT, TYPE_##S, const TYPE_##A *, INT, const TYPE_##B *, INT, TYPE_##S, \
                       TYPE_##C *, INT);                                                                     \
    static void one_##r(int form, int t, INT incx, INT incy)                                                 \
    {                                                                                                        \
        static TYPE_##A a[ROOM];                                                                             \
        static TYPE_##B x[ROOM];                                                                             \
        static TYPE_##C y[ROOM];                                                                             \
        int row = form & 1, fortran = form & 2;                                                              \
        INT m = M, n = N, lda = (row ? n : m) + (form & 4 ? PAD : 0);                                        \
        long rows = t ? n : m, columns = t ? m : n;                                                          \
        struct layout la = matrix(row, t > 0, rows, columns, lda), lx = vector(columns, incx),               \
                      ly = vector(rows, incy);                                                               \
        TYPE_##B *x0 = x + offset(columns, incx);                                                            \
        TYPE_##C *y0 = y + offset(rows, incy);                                                               \
        TYPE_##S alpha = 1.5, beta = form & 8 ? 0.5 : 0;                                                     \
        const char *name = fortran ? TEXT(NAME_FORTRAN(r)) : TEXT(NAME_CBLAS(r));                            \
        fill_##A(a, ROOM), fill_##B(x, ROOM), fill_##C(y, ROOM);                                             \
        set_##A(a, la), set_##B(x0, lx), set_##C(y0, ly);                                                    \
        begin("matvec", name);                                                                               \
        operand_##A("a", "before", a, la);                                                                   \
        operand_##B("x", "before", x0, lx);                                                                  \
        if (form & 8)                                                                                        \
            operand_##C("y", "before", y0, ly);                                                              \
        if (fortran)                                                                                         \
            NAME_FORTRAN(r)(letters[t], &m, &n, &alpha, a, &lda, x, &incx, &beta, y, &incy, 1);              \
        else                                                                                                 \
            NAME_CBLAS(r)(cblas_order[row], cblas_trans[t], m, n, alpha, a, lda, x, incx, beta, y, incy);    \
        operand_##C("y", "after", y0, ly);                                                                   \
        end();                                                                                               \
        print_##C(name, y0, ly);                                                                             \
    }                                                                                                        \
    static void all_##r(void)                                                                                \
    {                                                                                                        \
        static const INT steps[] = {1, 2, -1, -3};                                                           \
        FORMS(form)                                                                                          \
            for (int i = 0; i < 3 * 16; i++)                                                                 \
                one_##r(form, i / 16, steps[i / 4 % 4], steps[i % 4]);                                       \
    }

/* dot, axpy and scal share their forms: bit 0 Fortran, then the increments. */
#define VECTORS(...)                                                                                         \
    static const INT steps[] = {1, 2, -1, -3};                                                               \
    for (int i = 0; i < 32; i++) {                                                                           \
        int fortran = i & 1;                                                                                 \
        INT n = 7, incx = steps[i / 8], incy = steps[i / 2 % 4];                                             \
        struct layout lx = vector(n, incx), ly = vector(n, incy);                                            \
        long at_x = offset(n, incx), at_y = offset(n, incy);                                                 \
        (void)lx, (void)at_x;                                                                                \
        __VA_ARGS__                                                                                          \
    }

#define DOT(r, S, A)                                                                                         \
    TYPE_##S NAME_FORTRAN(r)(const INT *, const TYPE_##A *, const INT *, const TYPE_##A *, const INT *);     \
    TYPE_##S NAME_CBLAS(r)(INT, const TYPE_##A *, INT, const TYPE_##A *, INT);                               \
    static void all_##r(void)                                                                                \
    {                                                                                                        \
        static TYPE_##A x[ROOM], y[ROOM];                                                                    \
        VECTORS({                                                                                            \
            const char *name = fortran ? TEXT(NAME_FORTRAN(r)) : TEXT(NAME_CBLAS(r));                        \
            fill_##A(x, ROOM), fill_##A(y, ROOM), set_##A(x + at_x, lx), set_##A(y + at_y, ly);              \
            TYPE_##S out = fortran ? NAME_FORTRAN(r)(&n, x, &incx, y, &incy)                                 \
                                   : NAME_CBLAS(r)(n, x, incx, y, incy);                                     \
            struct layout scalar = {.rank = 0, .batch = 1, .rows = 1, .columns = 1};                         \
            begin("dot", name);                                                                              \
            operand_##A("x", "before", x + at_x, lx);                                                        \
            operand_##A("y", "before", y + at_y, ly);                                                        \
            operand_##S("out", "after", &out, scalar);                                                       \
            end();                                                                                           \
            print_##S(name, &out, scalar);                                                                   \
        })                                                                                                   \
    }

#define AXPY(r, S)                                                                                           \
    void NAME_FORTRAN(r)(const INT *, const TYPE_##S *, const TYPE_##S *, const INT *, TYPE_##S *,           \
                         const INT *);                                                                       \
    void NAME_CBLAS(r)(INT, TYPE_##S, const TYPE_##S *, INT, TYPE_##S *, INT);                               \
    static void all_##r(void)                                                                                \
    {                                                                                                        \
        static TYPE_##S x[ROOM], y[ROOM];                                                                    \
        TYPE_##S alpha = -0.5;                                                                               \
        VECTORS({                                                                                            \
            const char *name = fortran ? TEXT(NAME_FORTRAN(r)) : TEXT(NAME_CBLAS(r));                        \
            fill_##S(x, ROOM), fill_##S(y, ROOM), set_##S(x + at_x, lx), set_##S(y + at_y, ly);              \
            begin("axpy", name);                                                                             \
            operand_##S("x", "before", x + at_x, lx);                                                        \
            operand_##S("y", "before", y + at_y, ly);                                                        \
            if (fortran)                                                                                     \
                NAME_FORTRAN(r)(&n, &alpha, x, &incx, y, &incy);                                             \
            else                                                                                             \
                NAME_CBLAS(r)(n, alpha, x, incx, y, incy);                                                   \
            operand_##S("y", "after", y + at_y, ly);                                                         \
            end();                                                                                           \
            print_##S(name, y + at_y, ly);                                                                   \
        })                                                                                                   \
    }

/* A negative increment is no call that does anything: invalid, no operands. */
#define SCAL(r, S)                                                                                           \
    void NAME_FORTRAN(r)(const INT *, const TYPE_##S *, TYPE_##S *, const INT *);                            \
    void NAME_CBLAS(r)(INT, TYPE_##S, TYPE_##S *, INT);                                                      \
    static void all_##r(void)                                                                                \
    {                                                                                                        \
        static TYPE_##S y[ROOM];                                                                             \
        TYPE_##S alpha = -0.5;                                                                               \
        VECTORS({                                                                                            \
            const char *name = fortran ? TEXT(NAME_FORTRAN(r)) : TEXT(NAME_CBLAS(r));                        \
            fill_##S(y, ROOM), set_##S(y + at_y, ly);                                                        \
            begin("scal", name);                                                                             \
            if (incy > 0)                                                                                    \
                operand_##S("x", "before", y, ly);                                                           \
            if (fortran)                                                                                     \
                NAME_FORTRAN(r)(&n, &alpha, y, &incy);                                                       \
            else                                                                                             \
                NAME_CBLAS(r)(n, alpha, y, incy);                                                            \
            if (incy > 0)                                                                                    \
                operand_##S("x", "after", y, ly);                                                            \
            end();                                                                                           \
            print_##S(name, y + at_y, ly);                                                                   \
        })                                                                                                   \
    }

/* The two blocks must hold every row of preload/blas/routines.h; routines_covered_test.py sees to that. */
#define STANDARD(X)                                                                                       \
    X(sgemm, GEMM, F32, F32, F32, F32)                                                                       \
    X(dgemm, GEMM, F64, F64, F64, F64)                                                                       \
    X(sgemv, GEMV, F32, F32, F32, F32)                                                                       \
    X(dgemv, GEMV, F64, F64, F64, F64)                                                                       \
    X(sdot, DOT, F32, F32)                                                                                   \
    X(ddot, DOT, F64, F64)                                                                                   \
    X(saxpy, AXPY, F32)                                                                                      \
    X(daxpy, AXPY, F64)                                                                                      \
    X(sscal, SCAL, F32)                                                                                      \
    X(dscal, SCAL, F64)
#define EXTENDED(X)                                                                                       \
    X(sbgemm, GEMM, F32, BF16, BF16, F32)                                                                    \
    X(bgemm, GEMM, BF16, BF16, BF16, BF16)                                                                   \
    X(shgemm, GEMM, F32, F16, F16, F32)                                                                      \
    X(hgemm, GEMM, F16, F16, F16, F16)                                                                       \
    X(gemm_bf16bf16f32, GEMM, F32, BF16, BF16, F32)                                                          \
    X(gemm_f16f16f32, GEMM, F32, F16, F16, F32)                                                              \
    X(sbgemv, GEMV, F32, BF16, BF16, F32)                                                                    \
    X(sbdot, DOT, F32, BF16)                                                                                 \
    X(sgemm_batch_strided, STRIDED, F32)                                                                     \
    X(dgemm_batch_strided, STRIDED, F64)                                                                     \
    X(sgemm_batch, BATCHED, F32)                                                                             \
    X(dgemm_batch, BATCHED, F64)

#define DEFINE(r, FAMILY, ...) FAMILY(r, __VA_ARGS__)
#define CALL(r, ...)           all_##r();
STANDARD(DEFINE)
#ifndef STANDARD_ONLY
EXTENDED(DEFINE)
#endif

int main(int argc, char **argv)
{
    truth = argc == 2 ? fopen(argv[1], "w") : NULL;
    if (!truth)
        return 2;
    STANDARD(CALL)
#ifndef STANDARD_ONLY
    EXTENDED(CALL)
#endif
    fclose(truth);
    return 7; /* an exit status to be kept */
}
