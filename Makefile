# Lastcall. `make` lists what there is.

LASTCALL      := .lastcall/bin/lastcall
LINTER        := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
WORKFLOWCHECK := go.temporal.io/sdk/contrib/tools/workflowcheck@v0.6.0

.DEFAULT_GOAL := help
.PHONY: up ui test chaos bench histories screenshots lint fmt help panel $(LASTCALL)

up: panel $(LASTCALL) ## run everything on this machine; ARGS="--port-base 9700" and the like go to lastcall up
	@exec $(LASTCALL) up $(ARGS)

ui: ui/node_modules/.package-lock.json ## write the API's document and its client anew, and build the panel (wants Node 20)
	go run ./cmd/lastcall openapi > ui/openapi.json.new && mv ui/openapi.json.new ui/openapi.json
	cd ui && npm run --silent client && npm run --silent build

ui/node_modules/.package-lock.json: ui/package-lock.json
	cd ui && npm ci && touch node_modules/.package-lock.json

# The panel as it is in the sources; without npm the binary says how to get it.
panel:
	@if [ -f ui/dist/index.html ] && [ -z "$$(find ui/src ui/public ui/index.html ui/vite.config.ts ui/vite.station.config.ts ui/package-lock.json -newer ui/dist/index.html -type f | head -1)" ]; then :; \
	elif command -v npm > /dev/null; then echo "building the panel"; $(MAKE) --no-print-directory ui/node_modules/.package-lock.json && cd ui && npm run --silent build; \
	else echo "npm is not here, so the panel is not built; everything else is"; fi

histories: ## record anew the histories that the replay test runs (from a released commit only)
	go test ./worker -record
	go test ./cmd/lastcall -run 'TestKilledInMidCampaign$$|TestDrill$$' -record

test: $(LASTCALL) ## run every test, on a real Postgres and a real Temporal (fetched once if they are not here)
	$(LASTCALL) fetch
	go vet ./...
	go run $(WORKFLOWCHECK) -config workflows/workflowcheck.yaml ./workflows/...
	go test -timeout 30m ./...

chaos: $(LASTCALL) ## kill and halt a whole Lastcall's processes, 20 seeds; ARGS="-seeds 1 -seed 7" runs one again
	$(LASTCALL) fetch
	go test ./cmd/lastcall -run 'TestChaos$$' -count 1 -v -timeout 90m -args -seeds 20 $(ARGS)

bench: $(LASTCALL) ## measure this build on this machine; ARGS="--only dispatch" and the like go to lastcall bench
	@exec $(LASTCALL) bench $(ARGS)

screenshots: ## make the pictures of docs/screenshots anew (wants Node 20 and Chromium)
	go test ./cmd/lastcall -run 'TestPanel$$' -count 1 -timeout 10m -args -screenshots

lint: ui/node_modules/.package-lock.json ## look for mistakes that the compiler lets through
	go run $(LINTER) run ./...
	cd ui && npm run --silent lint

fmt: ## format the code
	gofmt -w $$(go list -f '{{.Dir}}' ./...)

help: ## list what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(LASTCALL):
	@go build -o $@ ./cmd/lastcall
