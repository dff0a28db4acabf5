//go:build tools

// SPDX-License-Identifier: Apache-2.0

// Package tools pins the version of toxiproxy, and go.sum the bytes of all that it is made of.
package tools

import _ "github.com/Shopify/toxiproxy/v2/cmd/server"
