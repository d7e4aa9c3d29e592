# Starting the services of the stack, for start_stack.sh alone, whose variables it uses: data, images, listen, sampling,
# wanted_runtime.
# shellcheck shell=bash
# shellcheck disable=SC2154  # set by start_stack.sh and stack.sh
configs_shipped=$checkout/configs
# Seconds a service has until it is ready: the first start of Grafana on a slow disk takes most of them.
patience=120

all_ports() {
    local service port
    for service in "${services[@]}"; do
        for port in $(port_names "$service"); do echo "$port=${!port}"; done
    done
}

# The program of a service on PATH.
program_of() {
    case $1 in
        otel-collector) command -v otelcol-contrib || command -v otelcol ;;
        *) command -v "$1" ;;
    esac
}

# Succeeds and says what is missing, when something is.
missing_of() {
    if [[ $wanted_runtime == apptainer ]]; then
        [[ ! -r $images/$1.sif ]] && echo "no image $images/$1.sif; build it with containers/build_all.sh $1"
    else
        ! program_of "$1" >/dev/null && echo "no program ${1/otel-collector/otelcol-contrib} on PATH"
    fi
}

# Succeeds and says who listens on a port, when somebody does.
holder_of() {
    local found
    if command -v ss >/dev/null; then
        found=$(ss -Hltnp "sport = :$1" 2>/dev/null)
        [[ -n $found ]] || return 1
        found=$(sed -n 's/.*users:(("\([^"]*\)",pid=\([0-9]*\).*/\1 (process \2)/p' <<<"$found" | head -1)
    else
        (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null || return 1
    fi
    echo "${found:-a process that is not yours}"
}

# Copies the configurations into the stack's folder. Prometheus reads nothing from the environment, so that its copy gets
# the ports written in: first names for all that differ, then their numbers, because one's may be another's default. The rules
# get the address of the runbooks: this checkout's, or that of a copy on the web.
write_configs() {
    local name default names=() numbers=()
    mkdir -p "$data/configs" && cp -RLf "$configs_shipped/." "$data/configs" || return
    while IFS='=' read -r name default; do
        [[ $name =~ _PORT$ ]] || continue
        names+=(-e "s/\(127\.0\.0\.1\|localhost\):$default\>/\1:@$name@/g")
        numbers+=(-e "s/@$name@/${!name}/g")
    done <"$configs_shipped/ports.env"
    sed -i "${names[@]}" "${numbers[@]}" "$data/configs/prometheus.yml"
    sed -i "s|runbook_url: docs/03-observing.md|runbook_url: ${NEURO_PREPROCESS_RUNBOOKS:-file://$checkout/docs/03-observing.md}|" \
        "$data"/configs/prometheus/rules/*.yml
}

# Tells Prometheus of the Alertmanager, which it would call in vain where none is.
name_alertmanager() {
    mkdir -p "$data/configs/prometheus/alertmanagers" &&
        echo "[{targets: ['127.0.0.1:$ALERTMANAGER_PORT']}]" >"$data/configs/prometheus/alertmanagers/stack.yml"
}

# Leaves word for runs of this user on this machine, which send to no other stack unasked (src/telemetry/stack.rs): where the
# Collector listens, and which process it is, told from all others by boot, PID namespace, number and start.
announce() {
    local place
    recorded otel-collector
    place=$(cat /proc/sys/kernel/random/boot_id)/$(readlink /proc/self/ns/pid)
    rm -f "$data/endpoint"
    printf '%s\n' "http=http://$(collector_address):$OTLP_HTTP_PORT" "grpc=http://$(collector_address):$OTLP_GRPC_PORT" \
        "process=$place $pid $started" >"$data/endpoint"
}

# NAME=VALUE for a service: the ports, and what start_stack.sh was asked for.
settings() {
    all_ports
    echo "LISTEN=$listen"
    echo "TAIL_SAMPLING=$sampling"
}

# Starts a service and records it.
launch() {
    local service=$1 log
    log=$(log_of "$service")
    [[ ! -e $log ]] || mv -f "$log" "$log.old"
    if [[ $service == grafana && ! -s $data/grafana/admin-password ]]; then
        head -c 18 /dev/urandom | base64 | tr '+/' '-_' >"$data/grafana/admin-password"
    fi
    echo "starting $service"
    "launch_$wanted_runtime" "$service" "$log"
}

launch_binary() {
    local service=$1 log=$2 script program environment=()
    program=$(program_of "$service")
    script=$(awk '/^%/ { inside = ($1 == "%startscript"); next } inside' "$containers/$service.def")
    mapfile -t environment < <(settings)
    environment+=("PATH=$PATH" "HOME=$HOME" "PROGRAM=$program" "DATA=$data/$service" "CONFIGS=$data/configs")
    # A Grafana that was unpacked has its files beside its program, an installed one where %startscript expects them.
    [[ ! -e $(dirname "$program")/../conf/defaults.ini ]] || environment+=("GF_PATHS_HOME=$(cd "$(dirname "$program")/.." && pwd)")
    (cd "$data/$service" && exec setsid env -i "${environment[@]}" sh -c "$script") </dev/null >"$log" 2>&1 &
    record "$service" $! -
}

launch_apptainer() {
    local service=$1 log=$2 instance program pair init='' child='' logs
    instance="np-$service-$(printf %s "$data" | cksum | cut -d' ' -f1)"
    program=$(apptainer_program)
    (
        cd / || exit
        while read -r pair; do export "APPTAINERENV_$pair"; done < <(settings)
        "$program" instance start --cleanenv --no-home --bind "$data/configs:/configs:ro" \
            --bind "$data/$service:/data" "$images/$service.sif" "$instance" </dev/null >"$log" 2>&1
    ) || return
    # The instance's own process starts the service and outlives it; what counts is the service.
    for ((i = 0; i < 50; i++)); do
        init=$("$program" instance list "$instance" 2>/dev/null | awk 'NR == 2 { print $2 }')
        [[ -n $init ]] && child=$(ps -o pid= --ppid "$init" | xargs) && [[ -n $child ]] && break
        sleep 0.1
    done
    # Grafana writes its log to standard output, the others to standard error.
    logs=$("$program" instance list --json "$instance" | sed -n 's/.*"log\(Err\|Out\)Path": "\([^"]*\)".*/\1 \2/p')
    ln -sf "$(awk -v of="$([[ $service == grafana ]] && echo Out || echo Err)" '$1 == of { print substr($0, 5) }' <<<"$logs")" "$log"
    record "$service" "${child:-$init}" "$instance"
}

# Writes down what was started: the runtime, this host, the process with its start time, and the instance.
record() { echo "$wanted_runtime $(hostname) $2 $(start_time "$2") $3" >"$data/run/$1"; }

wait_until_healthy() {
    for ((i = 0; i < patience * 5; i++)); do
        healthy "$1" && alive "$1" && return 0
        alive "$1" || return 1
        sleep 0.2
    done
    return 1
}

# The end for a service that was started now and does not come up: what it said last, and what to do. What else was
# started stays.
not_started() {
    local service=$1 log
    log=$(log_of "$service")
    echo "error: $service did not become ready: $(health_of "$service") gave no good answer." >&2
    echo "The last lines of $log:" >&2
    tail -n 12 "$log" | cut -c 1-400 | sed 's/^/    /' >&2
    echo "Mend what it says there and start again: what runs stays. stop_stack.sh stops all." >&2
    end_service "$service" 5
    exit 1
}
