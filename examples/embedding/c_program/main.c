/* score: reads rows of inputs, each with the output that Python computed, compares these outputs
 * with those of the network as C source, and prints the time of a prediction. */
#include "net.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

enum { TIMES = 200000 };

/* Nanoseconds per prediction. The outputs are summed, so that the compiler omits none of them. */
static double nanoseconds_a_row(float *x) {
    float y[NET_N_OUT], sum = 0;
    clock_t began = clock();
    for (int i = 0; i < TIMES; i++) {
        net_predict(x, y);
        sum += y[0];
        x[0] = sum > 1e30f ? 0 : x[0];
    }
    return 1e9 * (double)(clock() - began) / CLOCKS_PER_SEC / TIMES;
}

int main(void) {
    float x[NET_N_IN], y[NET_N_OUT], expected;
    int rows = 0;
    double worst = 0;
    while (scanf("%f", &x[0]) == 1) {
        for (int k = 1; k < NET_N_IN; k++)
            if (scanf(",%f", &x[k]) != 1) return 1;
        if (scanf(",%f", &expected) != 1) return 1;
        net_predict(x, y);
        double error = fabs((double)y[0] - expected) / (1 + fabs((double)expected));
        worst = error > worst ? error : worst;
        rows++;
    }
    printf("C source: %d rows, largest difference from Python %.1e; %.0f ns per row\n", rows, worst,
           rows ? nanoseconds_a_row(x) : 0.0);
    return rows > 0 && worst < 1e-5 ? 0 : 1;
}
