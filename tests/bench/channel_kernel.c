/* twins/models/channel/filter.py line by line, for `infra/bench kernel` to be measured against. Columns and constants come from
   layout.py and channel.py as -D macros; `walk` is the loop of twins/models/channel/model.py with a prefetch. */

#include <math.h>
#include <stdint.h>

static inline double least(double a, double b) { return a < b ? a : b; }
static inline double most(double a, double b) { return a > b ? a : b; }

static inline double series_of(double x) {
    double y = x * x;
    return y * ((0.5 - x * (1.0 / 6)) +
                y * ((1.0 / 24 - x * (1.0 / 120)) + y * ((1.0 / 720 - x * (1.0 / 5040)) + y * (1.0 / 40320)))) - x;
}

static double expm1_of(double x) { return x < SERIES ? series_of(x) : expm1(-x); }

static void begin(double *state, const double *parameter, double t) {
    double s12 = parameter[A_S12], s22 = parameter[A_S22];
    state[M0] = parameter[A_MEAN];
    state[M1] = 0.0;
    state[P00] = parameter[A_S11] + 2.0 * s12 + s22;
    state[P01] = s12 + s22;
    state[P11] = s22;
    state[T] = t;
    state[FIRST] = t;
    state[R_SCALE] = 1.0;
    state[QUALITY] = 1.0;
}

static double within(double a, double b, double mean, double s, double *spread) {
    double sd = sqrt(s);
    double alpha = (a - mean) / sd, beta = (b - mean) / sd;
    double share = 0.5 * (erfc(-beta / sqrt(2.0)) - erfc(-alpha / sqrt(2.0)));
    if (share < 1e-9) {
        *spread = (b - a) * (b - a) / 12.0;
        return mean < a ? a : b;
    }
    double at_a = exp(-0.5 * alpha * alpha) / ROOT_2PI;
    double at_b = exp(-0.5 * beta * beta) / ROOT_2PI;
    double shift = (at_a - at_b) / share;
    *spread = s * most(1.0 + (alpha * at_a - beta * at_b) / share - shift * shift, 0.0);
    return mean + sd * shift;
}

static inline void grade(double *state, double good) { state[QUALITY] += 0.1 * (good - state[QUALITY]); }

static int disbelieved(double *state, double t, double innovation, double enough) {
    double sign = innovation > 0.0 ? 1.0 : -1.0;
    if (state[REJECTS] * sign <= 0.0) {
        state[REJECTS] = 0.0;
        state[REJECT_SINCE] = t;
    }
    state[REJECTS] += sign;
    double run = fabs(state[REJECTS]);
    double span = (t - state[REJECT_SINCE]) * 1e-6;
    return run < enough && !(run >= REACQUIRE_SPARSE && span >= REACQUIRE_SPAN_S);
}

typedef struct { double m0, m1, p00, p01, p11; } Moved;

static inline Moved moved(const double *state, const double *parameter, double f1, double f2) {
    double e1 = 1.0 + f1, e2 = 1.0 + f2, mean = parameter[A_MEAN];
    double q11 = -f1 * (2.0 + f1) * parameter[A_S11];
    double q12 = -(f1 + f2 + f1 * f2) * parameter[A_S12];
    double q22 = -f2 * (2.0 + f2) * parameter[A_S22];
    double h = f2 - f1;
    double a = e1 * state[P00] + h * state[P01];
    double b = e1 * state[P01] + h * state[P11];
    Moved now;
    now.m1 = e2 * state[M1];
    now.m0 = mean + e1 * (state[M0] - mean - state[M1]) + now.m1;
    now.p00 = a * e1 + b * h + most(q11 + 2.0 * q12 + q22, 0.0);
    now.p01 = b * e2 + q12 + q22;
    now.p11 = e2 * e2 * state[P11] + q22;
    return now;
}

static inline int take(double *state, const double *parameter, double t, double dt, double y, double spread, int first,
                       Moved now) {
    double scale = state[R_SCALE], earlier = state[INNOVATION], count = state[COUNT] + 1.0, quality = state[QUALITY];
    double before = first ? y : state[M0];
    double window = parameter[A_TREND_S];
    double trend = window * state[TREND];
    double r = parameter[A_R] * scale + parameter[A_QUANTUM];
    double innovation = y - now.m0;
    double p00 = now.p00;
    double share = 1.0 / (p00 + r);
    double nis = innovation * innovation * share;
    int status = ACCEPTED;
    double rejects = 0.0;
    if (nis > GATE && !first) {
        int jump = fabs(innovation) > parameter[A_JUMP] * (1.0 + dt / 60.0);
        if (jump || dt < DENSE_S) {
            if (disbelieved(state, t, innovation, jump ? REACQUIRE_AFTER : REACQUIRE_SPARSE)) {
                grade(state, 0.0);
                return GATED;
            }
            rejects = state[REJECTS];
        }
        if (jump) {
            p00 += innovation * innovation;
            share = 1.0 / (p00 + r);
            nis = 1.0;
            rejects = 0.0;
            status = REACQUIRED;
        }
    }
    double z = innovation * sqrt(share);
    double alike = fabs(z) < 3.0 && fabs(earlier) < 3.0 ? z * earlier : 0.0;
    if (count > ADAPT_AFTER && spread == 0.0) {
        scale = most(scale * (1.0 + ADAPT * (least(nis, 9.0) - 1.0 - 2.0 * alike)), 1.0);
        if (scale > R_MOST)
            scale = least(scale, most(parameter[A_JUMP] * parameter[A_JUMP] / (16.0 * parameter[A_R]), R_MOST));
    }
    double k0 = p00 * share, k1 = now.p01 * share;
    double level = now.m0 + k0 * innovation;
    double g = 1.0 - k0;
    r += spread;
    state[M0] = level;
    state[M1] = now.m1 + k1 * innovation;
    state[P00] = g * g * p00 + k0 * k0 * r;
    state[P01] = g * (now.p01 - k1 * p00) + k0 * k1 * r;
    state[P11] = now.p11 - 2.0 * k1 * now.p01 + k1 * k1 * (p00 + r);
    state[T] = t;
    state[R_SCALE] = scale;
    state[INNOVATION] = z;
    state[COUNT] = count;
    state[REJECTS] = rejects;
    state[QUALITY] = quality + 0.1 * (1.0 - quality);
    state[TREND] = (level - before + trend) / (window + dt);
    return status;
}

static __attribute__((noinline)) int seldom(double *state, const double *parameter, double t, double value) {
    int first = state[COUNT] == 0.0;
    if (first)
        begin(state, parameter, t);
    double dt = (t - state[T]) * 1e-6;
    Moved now = moved(state, parameter, expm1_of(parameter[A_FAST] * dt), expm1_of(parameter[A_SLOW] * dt));
    double s = now.p00 + parameter[A_R] * state[R_SCALE] + parameter[A_QUANTUM];
    double y = value, spread = 0.0;
    if (value < parameter[A_BELOW])
        y = within(parameter[A_LOW], parameter[A_BELOW], now.m0, s, &spread);
    else if (value > parameter[A_ABOVE])
        y = within(parameter[A_ABOVE], parameter[A_TOP], now.m0, s, &spread);
    return take(state, parameter, t, dt, y, spread, first, now);
}

static inline int update(double *state, const double *parameter, double t, double value) {
    if (t <= state[LAST])
        return t == state[LAST] && value == state[VALUE] ? DUPLICATE : LATE;
    state[LAST] = t;
    state[VALUE] = value;
    if (!(value >= parameter[A_LOW] && value <= parameter[A_HIGH])) {
        grade(state, 0.0);
        return IMPLAUSIBLE;
    }
    double dt = (t - state[T]) * 1e-6;
    double x1 = parameter[A_FAST] * dt, x2 = parameter[A_SLOW] * dt;
    int dense = x1 < SERIES && x2 < SERIES && state[COUNT] > 0.0;
    if (!(dense && value >= parameter[A_BELOW] && value <= parameter[A_ABOVE]))
        return seldom(state, parameter, t, value);
    return take(state, parameter, t, dt, value, 0.0, 0, moved(state, parameter, series_of(x1), series_of(x2)));
}

void walk(int64_t n, double *state, const double *parameters, const int64_t *rows, const uint16_t *signal,
          const int64_t *time, const double *value, uint8_t *status) {
    for (int64_t k = 0; k < n; k++) {
        if (k + AHEAD < n) {
            const double *next = state + rows[k + AHEAD] * STATE_WIDTH;
            __builtin_prefetch(next, 1);
            __builtin_prefetch(next + 8, 1);
        }
        if (!isfinite(value[k])) {
            status[k] = INVALID;
            continue;
        }
        status[k] = (uint8_t)update(state + rows[k] * STATE_WIDTH, parameters + signal[k] * PARAMETER_WIDTH,
                                    (double)time[k], value[k]);
    }
}
