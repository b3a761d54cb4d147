// A table of contents of the product: what exists, in which order, and what each part is given.
#include "server/assembly.h"

#include "base/log.h"
#include "resource/call.h"
#include "server/administrators.h"

namespace merlon::server {
namespace {

constexpr auto kFlushEvery = std::chrono::seconds(5);

store::Schema schema() {
  store::Schema schema;
  for (const auto* specs : {&tables(), &seal::tables(), &ledger::tables(), &identity::tables(),
                            &access::tables(), &resource::tables(), &grant::tables(), &machine::tables(),
                            &compute::tables(), &network::tables(), &jit::tables()})
    schema.tables.insert(schema.tables.end(), specs->begin(), specs->end());
  return schema;
}

// The name asked for, which the edge has checked against those that we serve (architecture.md, Names).
std::string origin_of(const net::Request& request) { return "https://" + request.host; }

}  // namespace

Result<std::unique_ptr<Assembly>> Assembly::make(const AssemblyParameters& parameters, const Clock& clock,
                                                 Random& random) {
  std::unique_ptr<Assembly> a(new Assembly());
  a->store_ = TRY(parameters.open_store ? parameters.open_store(schema())
                                        : store::open_sqlite(parameters.state_dir, schema()));
  a->seal_ = TRY(seal::Seal::open(*a->store_, parameters.root_key_path, random));
  a->settings_ = TRY(open_settings(*a->store_, *a->seal_, clock, random, parameters.domain));
  const TenantId& tenant = a->settings_.tenant;
  a->ledger_ = TRY(ledger::Ledger::open(*a->store_, *a->seal_, clock, random, tenant));
  a->directory_ = std::make_unique<identity::Directory>(tenant, clock, random);
  a->issuer_ = TRY(identity::Issuer::open(
      *a->store_, *a->seal_, clock, random,
      {.tenant = tenant, .domain = a->settings_.domain, .own_audiences = parameters.own_audiences}));
  a->access_ = std::make_unique<access::Access>(*a->directory_, clock);
  a->core_.reset(new resource::Core{.store = *a->store_,
                                    .seal = *a->seal_,
                                    .ledger = *a->ledger_,
                                    .directory = *a->directory_,
                                    .issuer = *a->issuer_,
                                    .access = *a->access_,
                                    .clock = clock,
                                    .random = random,
                                    .tenant = tenant,
                                    .subscription = a->settings_.subscription,
                                    .domain = a->settings_.domain});
  a->endpoints_ = std::make_unique<identity::Endpoints>(*a->store_, *a->ledger_, *a->directory_, *a->issuer_,
                                                        clock, random);
  a->manager_ = resource::Manager::make(*a->core_);
  a->grants_ = std::make_unique<grant::Grants>(*a->core_, *a->manager_);
  a->machines_ = TRY(machine::Machines::open(*a->core_, *a->manager_, *a->grants_));
  a->platform_.reset(new Platform{*a->core_, *a->manager_, *a->grants_, *a->machines_});
  a->compute_ = compute::install(*a->platform_);
  a->network_ = network::install(*a->platform_, *a->compute_);
  a->jit_ = jit::install(*a->platform_, *a->compute_, *a->network_);
  add_administrators_route(*a->core_, *a->manager_);
  return a;
}

Assembly::~Assembly() { stop(); }

void Assembly::handle(net::Request request, net::Responder respond) {
  if (request.plane == net::Plane::agents || machines_->handles(request)) {
    machines_->handle(std::move(request), std::move(respond));
    return;
  }
  if (request.path == "/healthz") {
    respond(resource::json_response(200, {{"status", "ok"}}));
    return;
  }
  const std::string origin = origin_of(request);
  if (auto answer = endpoints_->handle(request, origin)) {
    respond(*std::move(answer));
    return;
  }
  respond(manager_->handle(request, origin));
}

void Assembly::tick() {
  if (const auto expired = grants_->expire_due(); !expired) log_error("expiry failed", expired.error());
  machines_->tick();
  const Timestamp now = core_->clock.now();
  if (now - flushed_ < kFlushEvery && now >= flushed_) return;
  flushed_ = now;
  if (const auto flushed = ledger_->flush(now); !flushed)
    log_error("denials could not be written to the ledger", flushed.error());
}

void Assembly::stop() {
  if (machines_) machines_->stop();
  if (ledger_ && core_) {
    const auto flushed = ledger_->flush(Timestamp::max());
    if (!flushed) log_error("denials could not be written to the ledger", flushed.error());
  }
}

}  // namespace merlon::server
