/* An inverted pendulum on a cart: the plant of the control example, its sensor and nothing else.
 *
 *               o      theta: angle from upright, radians, positive towards +x, never wrapped
 *              /       omega: its rate, rad/s
 *        +----/---+    x, v: position (m) and velocity (m/s) of the cart
 *        |   *    | -> force on the cart, newtons
 *        +-o----o-+
 *
 * Double precision, no state of its own, no input or output: the closed loop (closed_loop.c) and the training
 * (train.py, through plant.py) run this same code. */
#ifndef PLANT_H
#define PLANT_H

#include <stddef.h>

enum { PLANT_OBSERVATIONS = 8 };

typedef struct plant_params {
    double cart_mass;      /* kg */
    double pole_mass;      /* kg, spread evenly over the pole */
    double pole_length;    /* m, from pivot to tip */
    double cart_friction;  /* N per m/s */
    double pivot_friction; /* N m per rad/s */
    double gravity;        /* m/s^2 */
    double max_force;      /* N: what an action of 1 gives; the actuator saturates there */
} plant_params;

typedef struct plant_state {
    double x, v, theta, omega;
} plant_state;

/* Where the cart should be, and how that place moves. */
typedef struct plant_target {
    double x, v, a, j; /* position and its first three derivatives: m, m/s, m/s^2, m/s^3 */
} plant_target;

/* The nominal parameters. */
plant_params plant_default(void);

/* Advances the state by dt seconds (one Runge-Kutta step of order 4) with the action, saturated to [-1, 1], and `push`,
 * a horizontal force in newtons on the tip of the pole, both held constant. */
void plant_step(const plant_params *params, plant_state *state, double action, double push, double dt);

/* What the policy sees: cart position relative to the target, cart velocity, cos and sin of theta, omega, and the
 * velocity, acceleration and jerk of the target. */
void plant_observe(const plant_state *state, const plant_target *target, float observation[PLANT_OBSERVATIONS]);

/* Energy of the pole relative to standing still upright, joules; hanging still it is -gravity * pole_mass * length. */
double plant_pole_energy(const plant_params *params, const plant_state *state);

/* The same for `count` independent plants, for training: `steps` steps of dt each; one params a plant. */
void plant_step_many(const plant_params *params, plant_state *states, const double *actions, const double *pushes,
                     size_t count, double dt, size_t steps);
void plant_observe_many(const plant_state *states, const plant_target *targets, float *observations, size_t count);

#endif
