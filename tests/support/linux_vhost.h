// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// <linux/vhost.h> for tests in C++: what it includes has functions that are C only, unless told
// otherwise.

#define VIRTIO_RING_NO_LEGACY
#include <linux/vhost.h>
