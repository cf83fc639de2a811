/* Weights of minimal filtering with tiles of 4, made of those of the windows; as winograd.py does it. */
#include "winograd.h"

enum { SIDE = INGOT_WINOGRAD_MOST + 2, WINDOW = 3, LANES = INGOT_GEMM_NR };

/* G: the window as a polynomial at each point, over what the others make of the point. */
static void window_matrix(double g[SIDE][WINDOW]) {
    static const double points[SIDE - 1] = {0, INGOT_WINOGRAD_A, -INGOT_WINOGRAD_A, INGOT_WINOGRAD_B,
                                            -INGOT_WINOGRAD_B};
    for (int i = 0; i < SIDE - 1; i++) {
        double others = 1;
        for (int j = 0; j < SIDE - 1; j++) {
            if (j != i) {
                others *= points[i] - points[j];
            }
        }
        g[i][0] = 1 / others;
        g[i][1] = points[i] / others;
        g[i][2] = points[i] * points[i] / others;
    }
    g[SIDE - 1][0] = g[SIDE - 1][1] = 0;
    g[SIDE - 1][2] = 1;
}

/* One column of a channel's windows, three of its 16, then as many as G has rows. */
static void transform_line(const double by[WINDOW], const double *a, const double *b, const double *c, double *to) {
    for (int l = 0; l < LANES; l++) {
        to[l] = by[0] * a[l] + by[1] * b[l] + by[2] * c[l];
    }
}

void ingot_winograd_make_weights(const float *from, int64_t panels, int64_t channels, float *to) {
    const int64_t step = channels * LANES;
    double g[SIDE][WINDOW];
    window_matrix(g);
    for (int64_t panel = 0; panel < panels; panel++) {
        for (int64_t c = 0; c < channels; c++) {
            const float *window = from + panel * WINDOW * WINDOW * step + c * LANES;
            float *made = to + panel * SIDE * SIDE * step + c * LANES;
            double taps[WINDOW][WINDOW][LANES], line[WINDOW][LANES], done[LANES];
            for (int tap = 0; tap < WINDOW * WINDOW; tap++) {
                for (int l = 0; l < LANES; l++) {
                    taps[tap / WINDOW][tap % WINDOW][l] = window[tap * step + l];
                }
            }
            for (int y = 0; y < SIDE; y++) {
                for (int x = 0; x < WINDOW; x++) {
                    transform_line(g[y], taps[0][x], taps[1][x], taps[2][x], line[x]);
                }
                for (int x = 0; x < SIDE; x++) {
                    transform_line(g[x], line[0], line[1], line[2], done);
                    for (int l = 0; l < LANES; l++) {
                        made[(y * SIDE + x) * step + l] = (float)done[l];
                    }
                }
            }
        }
    }
}
