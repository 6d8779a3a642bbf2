# Everything that CI runs is here, and nothing that needs more than Go and make.

VERSION     := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
FUZZTIME    ?= 30s
FUZZFLAGS   ?=
UNGUIDED    ?=
BENCH       ?= .
N           ?= 30
P           ?= 4
PKG         ?= ./...
BUDGET      ?= 60m
SOAK        ?= 10m

# Packages with nothing that goes on at once, neither in them nor in their tests:
# TestRaced holds the list to that.
ALONE = . ./cmd/vault/internal/argv ./cmd/vault/internal/config ./cmd/vault/internal/envfile ./cmd/vault/internal/usage ./internal/capabilities/... ./policy/...

# The packages whose tests take longest come first, so that none is left alone at the end.
LONGEST = ./providers/aws ./providers/memfs ./cmd/vault ./providers/tencent

RACED = $(filter-out $(shell go list $(ALONE)),$(shell go list $(LONGEST) ./...))

# check runs the analyzers. Most tests wait for servers: more of them at once than processors take less time.
TESTFLAGS = -timeout 30m -vet=off -parallel 4

# The tag leaves out a generator of manual pages.
BUILD = CGO_ENABLED=0 go build -tags urfave_cli_no_docs -trimpath -ldflags '-s -w -X main.version=$(VERSION)'

.PHONY: build demo demo-aws demo-tencent demo-offline demo-keys demo-signer demo-migrate demo-two-clouds demo-audit bench-keys bench-copy bench-process bench-growth bench-file bench-peers figures plots transcripts capabilities test faults soak stress check cross fuzz bench bench-aws bench-tencent vuln conformance-aws conformance-tencent
.PHONY: fmt vet tidy deps docs imports allkms

build: ## the static binary, bin/vault
	$(BUILD) -o bin/vault ./cmd/vault

demo: build ## a credential sealed, stored, listed, read back and removed
	@sh docs/demo.sh bin/vault

demo-aws: build ## the walkthrough of docs/transcripts/aws.md against a Ceph on this machine
	go build -o bin/testcloud ./internal/testcloud/cmd/testcloud
	@sh docs/aws.sh bin/vault bin/testcloud

demo-tencent: build ## the walkthrough of docs/transcripts/tencent.md against a COS on this machine
	go build -o bin/costest ./cmd/costest
	go build -o bin/testcloud ./internal/testcloud/cmd/testcloud
	@sh docs/tencent.sh bin/vault bin/costest bin/testcloud

demo-offline: build ## a key is created while the store is away, and is not lost
	go build -o bin/costest ./cmd/costest
	@sh docs/offline.sh bin/vault bin/costest

demo-keys: build ## each key source is enrolled, used from two machines, and replaced
	go build -o bin/signertest ./envelope/kek/signer/signertest/cmd/signertest
	go build -o bin/costest ./cmd/costest
	@sh docs/keys.sh bin/vault bin/signertest bin/costest

demo-signer: demo-keys ## the first part of demo-keys is about a signer

demo-migrate: build ## the credentials of agentKeys, from its plaintext server and its bucket, move into a vault
	go build -o bin/oldserver ./internal/oldserver/cmd/oldserver
	go build -o bin/oldclient ./internal/oldserver/cmd/oldclient
	go build -o bin/signertest ./envelope/kek/signer/signertest/cmd/signertest
	go build -o bin/costest ./cmd/costest
	@sh docs/migrate.sh bin/vault bin/oldserver bin/oldclient bin/signertest bin/costest

demo-two-clouds: build ## a copy and a mirror between a Ceph and a COS on this machine, of which one goes away
	go build -o bin/testcloud ./internal/testcloud/cmd/testcloud
	go build -o bin/costest ./cmd/costest
	@sh docs/two-clouds.sh bin/vault bin/testcloud bin/costest

demo-audit: build ## two tenants on a Ceph on this machine: one reads, one is refused, and the operator sees both
	go build -o bin/testcloud ./internal/testcloud/cmd/testcloud
	@sh docs/audit.sh bin/vault bin/testcloud

transcripts: build ## docs/transcripts, from new runs of the demos
	go build -o bin/costest ./cmd/costest
	go build -o bin/testcloud ./internal/testcloud/cmd/testcloud
	@mkdir -p docs/transcripts
	sh docs/aws.sh bin/vault bin/testcloud > bin/aws.out
	awk -v title='A session with S3 on Ceph RGW' -v from='make demo-aws' -f docs/transcript.awk bin/aws.out > docs/transcripts/aws.md
	sh docs/audit.sh bin/vault bin/testcloud > bin/audit.out
	awk -v title='Who used which object, from the log of Ceph RGW' -v from='make demo-audit' -f docs/transcript.awk bin/audit.out > docs/transcripts/audit.md
	go build -o bin/signertest ./envelope/kek/signer/signertest/cmd/signertest
	sh docs/keys.sh bin/vault bin/signertest bin/costest > bin/keys.out
	awk -v title='Key sources: enrolled, replaced, recovered' -v from='make demo-keys' -f docs/transcript.awk bin/keys.out > docs/transcripts/keys.md
	go build -o bin/oldserver ./internal/oldserver/cmd/oldserver
	go build -o bin/oldclient ./internal/oldserver/cmd/oldclient
	sh docs/migrate.sh bin/vault bin/oldserver bin/oldclient bin/signertest bin/costest > bin/migrate.out
	awk -v title='Migrating from agentKeys' -v from='make demo-migrate' -f docs/transcript.awk bin/migrate.out > docs/migrating-from-agentkeys.md
	sh docs/two-clouds.sh bin/vault bin/testcloud bin/costest > bin/two-clouds.out
	awk -v title='Credentials in two clouds, of which one goes away' -v from='make demo-two-clouds' -f docs/transcript.awk bin/two-clouds.out > docs/transcripts/two-clouds.md
	sh docs/offline.sh bin/vault bin/costest > bin/offline.out
	awk -v title='A key that was created while the store was away' -v from='make demo-offline' -f docs/transcript.awk bin/offline.out > docs/transcripts/offline.md
	sh docs/tencent.sh bin/vault bin/costest bin/testcloud > bin/tencent.out
	awk -v title='A session with COS on costest' -v from='make demo-tencent' -f docs/transcript.awk bin/tencent.out > docs/transcripts/tencent.md

capabilities: ## docs/capabilities.md, from new runs of the suite
	rm -rf bin/capabilities
	OBJECTVAULT_CAPABILITIES=$(CURDIR)/bin/capabilities go test -count=1 -timeout 30m -run '^TestConformance' ./providers/...
	go run ./internal/capabilities/cmd/capabilities bin/capabilities docs/capabilities.md

test: ## every test, with the race detector but for what -short leaves out and for ALONE
	go build -o bin/suite ./internal/testcloud/cmd/suite
	@bin/suite test \
		-- go test $(TESTFLAGS) $(ALONE) \
		-- go test $(TESTFLAGS) -race -short $(RACED) \
		-- go test $(TESTFLAGS) $(RACED)

faults: ## every operation, each of its requests and each fault; writes docs/faults.md, in about an hour
	OBJECTVAULT_FAULTS=$(CURDIR)/docs/faults.md go test -count=1 -timeout 4h -run '^TestFaultMatrix$$' ./cmd/vault

soak: ## 1000 processes that are killed, and writers and readers at a store that comes and goes for SOAK
	OBJECTVAULT_SOAK_ROUNDS=1000 OBJECTVAULT_SOAK=$(SOAK) go test -count=1 -v -timeout 3h -run '^(TestKill|TestSoak)$$' ./vault/spool

stress: ## N rounds of the tests of PKG on a busy machine, P packages at once, for at most BUDGET; a further run goes on
	go build -o bin/suite ./internal/testcloud/cmd/suite
	bin/suite stress -n $(N) -p $(P) -budget $(BUDGET) $(PKG)

check: fmt vet tidy deps docs imports

fmt:
	@bad=$$(gofmt -l .) && [ -z "$$bad" ] || { echo "run gofmt -w on: $$bad" >&2; exit 1; }

vet: ## the analyzers of go vet for Linux, macOS and Windows; staticcheck
	go run ./internal/vet ./...
	go run $(STATICCHECK) ./...

tidy:
	go mod tidy -diff

# The modules that end up in the binary or in a user's build, each with its reason in
# the commit that added it.
deps:
	@go list -deps -f '{{with .Module}}{{.Path}}{{end}}' ./... | LC_ALL=C sort -u | diff -u deps.txt - || \
		(echo 'the modules changed: update deps.txt, and say why in the commit' >&2; exit 1)

docs:
	@bad=$$(go list -f '{{if .GoFiles}}{{if not .Doc}}{{.ImportPath}}{{end}}{{end}}' ./...) && [ -z "$$bad" ] || \
		{ echo "no package comment: $$bad" >&2; exit 1; }

imports: ## which package may import which; the words that the text avoids
	go test -count=1 -run '^(TestImports|TestWords)$$' .

allkms: ## what the tag allkms adds: the key sources of Google Cloud and Azure
	go build -tags allkms -o bin/vault-allkms ./cmd/vault
	go test -tags allkms ./envelope/kek/kms/gcpkms ./envelope/kek/kms/azurekeyvault ./vaulturl

cross: ## binaries for all six platforms, in bin/
	@for os in linux darwin windows; do for arch in amd64 arm64; do \
		[ $$os = windows ] && ext=.exe || ext=; \
		echo bin/vault-$$os-$$arch$$ext; \
		GOOS=$$os GOARCH=$$arch $(BUILD) -o bin/vault-$$os-$$arch$$ext ./cmd/vault || exit 1; \
	done; done

conformance-aws: ## the suite against a live bucket: docs/aws.md says what to set
	@[ -n "$$OBJECTVAULT_CONFORMANCE_BUCKET" ] || { echo 'OBJECTVAULT_CONFORMANCE_BUCKET names no bucket: see docs/aws.md' >&2; exit 1; }
	go test -count=1 -v -timeout 60m -run '^TestConformanceLive$$' ./providers/aws

conformance-tencent: ## the suite, and what the documents leave open, against a live bucket: docs/tencent.md says what to set
	@[ -n "$$OBJECTVAULT_CONFORMANCE_BUCKET" ] || { echo 'OBJECTVAULT_CONFORMANCE_BUCKET names no bucket: see docs/tencent.md' >&2; exit 1; }
	go test -count=1 -v -timeout 60m -run '^TestConformanceLive$$' ./providers/tencent

# UNGUIDED lists packages that are fuzzed without coverage guidance, with the test binary that
# make test has compiled: instrumenting what they import takes minutes.
fuzz: ## every fuzz target for FUZZTIME
	@targets=$$(grep -rE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+\(' . | sed -E 's|^\./(.*)/[^/]*:func (Fuzz[A-Za-z0-9_]+).*|\1 \2|' | sort -u); \
	[ -n "$$targets" ] || { echo 'no fuzz targets found' >&2; exit 1; }; \
	echo "$$targets" | while read -r dir target; do \
		echo "fuzz $$dir $$target"; \
		case " $(UNGUIDED) " in *" $$dir "*) \
			mkdir -p bin && go test -c -o bin/fuzz.test "./$$dir" && cache=$$(mktemp -d) && \
			(bin=$$PWD/bin/fuzz.test; cd "$$dir" && "$$bin" -test.run '^$$' -test.fuzz "^$$target\$$" -test.fuzztime $(FUZZTIME) -test.fuzzcachedir "$$cache" </dev/null) && \
			rm -r "$$cache" || exit 1; continue ;; \
		esac; \
		go test $(FUZZFLAGS) -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 200x "./$$dir" </dev/null || exit 1; \
	done

bench: build ## what sealing costs, beside its parts and age; memory and start of the CLI
	go test -run '^$$' -bench '$(BENCH)' -skip '^Benchmark(AWS|Tencent|Keys|Rewrap|Copy|Process|Growth|Peers|File)' -timeout 60m ./internal/bench

bench-aws: ## a vault in S3 beside the SDK alone, on versitygw and on Ceph; needs what their tests need
	go test -run '^$$' -bench '^BenchmarkAWS$$' -benchtime 3s -timeout 60m ./internal/bench

bench-tencent: build ## a vault in COS beside the SDK alone, on costest
	go test -run '^$$' -bench '^BenchmarkTencent$$' -benchtime 3s -timeout 60m ./internal/bench

bench-process: ## the command beside the SDK and the aws command, one process for each operation, on versitygw
	go test -run '^$$' -bench '^BenchmarkProcess$$' -benchtime 1x -timeout 60m ./internal/bench

bench-peers: ## the command beside the SDK, aws, age, rclone and restic, as far as they are installed, on versitygw
	go test -run '^$$' -bench '^BenchmarkPeers$$' -benchtime 1x -timeout 60m ./internal/bench

bench-copy: ## a copy between a directory and S3, and a verify, beside the SDK alone, on versitygw
	go test -run '^$$' -bench '^BenchmarkCopy$$' -benchtime 3x -timeout 60m ./internal/bench

# The syncs of a teardown cost nothing in memory. Without GROWTHSKIP, the teardown of a million names takes
# half an hour.
GROWTHSKIP ?= ^BenchmarkGrowth/file/1000000/(teardown|purge)
bench-growth: ## list, history and teardown of file:// and mem:// by the number of names, and vault ls
	@if [ -d /dev/shm ]; then TMPDIR=/dev/shm; export TMPDIR; fi; \
	go test -run '^$$' -bench '^BenchmarkGrowth$$' -skip '$(GROWTHSKIP)' -benchtime 1x -timeout 2h ./internal/bench

bench-file: ## a put of a file into file://, and a get, beside a plain copy; in memory, if the system has a place for that
	@if [ -d /dev/shm ]; then TMPDIR=/dev/shm; export TMPDIR; fi; \
	go test -run '^$$' -bench '^BenchmarkFile$$' -benchtime 1x -timeout 60m ./internal/bench

bench-keys: ## each key source, and the rewrap of small objects and of a large one
	go test -run '^$$' -bench '^Benchmark(Keys|Rewrap)$$' -timeout 60m ./internal/bench

# The first lines of a file name the machine. NOTE is added to them, and to the pictures.
MACHINE = $$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo 2>/dev/null | head -1), $$(nproc) cores, $$(go env GOVERSION)
measure = { echo "\# machine: $(MACHINE)"; [ -z "$(NOTE)" ] || echo "\# note: $(NOTE)"; $(1); } > docs/performance/$(2).txt
BENCHMARK = go test -run '^$$' -timeout 60m ./internal/bench -bench

figures: ## docs/performance/*.txt, the numbers of the pictures, in about 20 minutes; for a machine with nothing else to do
	mkdir -p docs/performance
	$(call measure,$(BENCHMARK) '^Benchmark(Seal|Open)$$' -benchtime 0.5s,seal)
	$(call measure,$(BENCHMARK) '^BenchmarkCores$$' -benchtime 1x,cores)
	$(call measure,$(BENCHMARK) '^BenchmarkMemory$$' -benchtime 1x,memory)
	$(call measure,$(MAKE) -s bench-growth,growth)
	$(call measure,$(MAKE) -s bench-peers,peers)

plots: ## the pictures of docs/performance.md, from docs/performance/*.txt
	cd internal/bench/plot && go test . && go run . ../../../docs/performance

vuln: ## needs the vulnerability database, so it is no gate
	go run $(GOVULNCHECK) ./...
