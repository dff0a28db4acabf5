/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BROKER_OPTIONS_H
#define BROKER_OPTIONS_H
/* options: the command line of pawl-broker. */
#include "broker/broker.h"

/* -1: go on; otherwise the exit code (help, version, misuse). Views into argv. */
int options_parse(int argc, char **argv, struct broker_options *out);
#endif
