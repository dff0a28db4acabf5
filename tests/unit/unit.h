/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PAWL_TEST_UNIT_H
#define PAWL_TEST_UNIT_H
/* unit: what every cmocka program includes, in the order that cmocka wants. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#endif
