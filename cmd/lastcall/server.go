package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"lastcall/config"
)

// serve answers requests on address until ctx is over, then lets those under way finish, for 10 s at most.
// ended, which may be nil, is closed when it begins to end.
func serve(ctx context.Context, address string, handler http.Handler, ended chan struct{}, log *slog.Logger) error {
	return serveBoth(ctx, config.API{Listen: address}, handler, ended, log)
}

// serveBoth is serve, by https as well where that is configured.
func serveBoth(ctx context.Context, at config.API, handler http.Handler, ended chan struct{}, log *slog.Logger) error {
	listener, err := net.Listen("tcp", at.Listen)
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w", at.Listen, err)
	}
	server := &http.Server{Handler: handler, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		// Neither a read nor a write timeout: uploads and event streams take what they take.
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10}
	if ended != nil {
		server.RegisterOnShutdown(sync.OnceFunc(func() { close(ended) }))
	}
	failed, serving := make(chan error, 2), 1
	if at.TLSListen != "" {
		secure, err := net.Listen("tcp", at.TLSListen)
		if err != nil {
			return errors.Join(fmt.Errorf("cannot listen on %s: %w", at.TLSListen, err), listener.Close())
		}
		serving++
		// Both serve at once, and the first sets HTTP/2 up: unless it stands here already, it would be promised and not spoken.
		server.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
		go func() { failed <- server.ServeTLS(secure, at.TLSCertFile, at.TLSKeyFile) }()
		log.Info("listening", "address", secure.Addr().String(), "tls", true)
	}
	go func() { failed <- server.Serve(listener) }()
	log.Info("listening", "address", listener.Addr().String())
	select {
	case err := <-failed:
		return errors.Join(err, server.Close())
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		log.Warn("requests were cut off", "error", err)
		_ = server.Close() // Shutdown failed because they took too long
	}
	for range serving {
		if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
			return err
		}
	}
	return nil
}
