#include "plant.h"

#include <math.h>

plant_params plant_default(void) {
    return (plant_params){
        .cart_mass = 1.0,
        .pole_mass = 0.2,
        .pole_length = 0.6,
        .cart_friction = 0.2,
        .pivot_friction = 0.001,
        .gravity = 9.81,
        .max_force = 12.0,
    };
}

/* The equations of motion, from the Lagrangian of a cart and a uniform rod. With the mass m, the distance l from the
 * pivot to the rod's middle and its inertia J = 4/3 m l^2 about the pivot:
 *     (M + m) x'' + m l cos(theta) theta'' = force + push - b x' + m l sin(theta) theta'^2
 *     m l cos(theta) x'' + J theta''       = m g l sin(theta) - c theta' + 2 l cos(theta) push
 * a symmetric linear system in (x'', theta''), whose determinant is positive for any theta. */
static plant_state derivative(const plant_params *p, plant_state s, double force, double push) {
    double half = 0.5 * p->pole_length, ml = p->pole_mass * half;
    double sine = sin(s.theta), cosine = cos(s.theta);
    double a = p->cart_mass + p->pole_mass, b = ml * cosine, d = 4.0 / 3.0 * ml * half;
    double f = force + push - p->cart_friction * s.v + ml * sine * s.omega * s.omega;
    double t = ml * p->gravity * sine - p->pivot_friction * s.omega + p->pole_length * cosine * push;
    double determinant = a * d - b * b;
    return (plant_state){
        .x = s.v,
        .v = (d * f - b * t) / determinant,
        .theta = s.omega,
        .omega = (a * t - b * f) / determinant,
    };
}

static plant_state advanced(plant_state s, plant_state rate, double dt) {
    return (plant_state){s.x + dt * rate.x, s.v + dt * rate.v, s.theta + dt * rate.theta, s.omega + dt * rate.omega};
}

void plant_step(const plant_params *params, plant_state *state, double action, double push, double dt) {
    double force = params->max_force * fmin(fmax(action, -1.0), 1.0);
    plant_state k1 = derivative(params, *state, force, push);
    plant_state k2 = derivative(params, advanced(*state, k1, 0.5 * dt), force, push);
    plant_state k3 = derivative(params, advanced(*state, k2, 0.5 * dt), force, push);
    plant_state k4 = derivative(params, advanced(*state, k3, dt), force, push);
    state->x += dt / 6.0 * (k1.x + 2.0 * k2.x + 2.0 * k3.x + k4.x);
    state->v += dt / 6.0 * (k1.v + 2.0 * k2.v + 2.0 * k3.v + k4.v);
    state->theta += dt / 6.0 * (k1.theta + 2.0 * k2.theta + 2.0 * k3.theta + k4.theta);
    state->omega += dt / 6.0 * (k1.omega + 2.0 * k2.omega + 2.0 * k3.omega + k4.omega);
}

void plant_observe(const plant_state *state, const plant_target *target, float observation[PLANT_OBSERVATIONS]) {
    observation[0] = (float)(state->x - target->x);
    observation[1] = (float)state->v;
    observation[2] = (float)cos(state->theta);
    observation[3] = (float)sin(state->theta);
    observation[4] = (float)state->omega;
    observation[5] = (float)target->v;
    observation[6] = (float)target->a;
    observation[7] = (float)target->j;
}

double plant_pole_energy(const plant_params *params, const plant_state *state) {
    double half = 0.5 * params->pole_length, ml = params->pole_mass * half;
    return 0.5 * (4.0 / 3.0 * ml * half) * state->omega * state->omega +
           ml * params->gravity * (cos(state->theta) - 1.0);
}

void plant_step_many(const plant_params *params, plant_state *states, const double *actions, const double *pushes,
                     size_t count, double dt, size_t steps) {
    for (size_t i = 0; i < count; ++i) {
        for (size_t step = 0; step < steps; ++step) {
            plant_step(&params[i], &states[i], actions[i], pushes[i], dt);
        }
    }
}

void plant_observe_many(const plant_state *states, const plant_target *targets, float *observations, size_t count) {
    for (size_t i = 0; i < count; ++i) {
        plant_observe(&states[i], &targets[i], observations + i * PLANT_OBSERVATIONS);
    }
}
