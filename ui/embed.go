// Package ui holds the admin panel. Vite builds it into dist, and the binary carries it.
package ui

import (
	"embed"
	"io/fs"
)

//go:embed all:dist
var dist embed.FS

// Dist is the built panel: index.html, in which __CSP_NONCE__ stands for the answer's nonce, and what it
// loads. Where nobody has run `make ui` its index.html is missing.
func Dist() fs.FS {
	sub, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // the path is a constant
	}
	return sub
}
