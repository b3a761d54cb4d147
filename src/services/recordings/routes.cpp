// What is served under Merlon.Bastion for recordings.
#include "services/recordings/service.h"

namespace merlon::recordings {
namespace {

using resource::Call;
using resource::Gathered;
using resource::Route;
using schema::integer;
using schema::object;
using schema::optional;
using schema::required;
using schema::text;

const std::string kAll = "/{+scope}/providers/Merlon.Bastion/recordings";
const std::string kOne = kAll + "/{recordingId}";

Route route_of(std::string method, std::string path, std::string permission, std::string summary) {
  Route route;
  route.method = std::move(method);
  route.path = std::move(path);
  route.permission = std::move(permission);
  route.checked_at = "{+scope}";
  route.summary = std::move(summary);
  return route;
}

// What reads or writes blobs does so before any transaction.
using Work = Result<JsonObject> (Service::*)(const Call&);
Route gathered(Service& service, std::string path, std::string_view permission, std::string summary,
               schema::Shape body, Work work) {
  Route route = route_of("POST", std::move(path), std::string(permission), std::move(summary));
  route.body = std::move(body);
  route.gather = [&service, work](const Call& call) -> Result<Gathered> {
    return Gathered::of(TRY((service.*work)(call)));
  };
  route.read = [](const Call& call, store::Reader&) -> Result<net::Response> {
    return resource::json_response(200, std::any_cast<const JsonObject&>(call.gathered));
  };
  return route;
}

void add_reading(Platform& platform, Service& service) {
  Route list = route_of("GET", kAll, std::string(kReadAction),
                        "Recordings within the scope, newest first ('machine', 'user', '$top')");
  list.filter_items = true;
  list.read = [&service](const Call& call, store::Reader& reader) { return service.list(call, reader); };
  platform.resources.add(std::move(list));
  Route one =
      route_of("GET", kOne, std::string(kReadAction), "What is known of a recording, beside its content");
  one.read = [&service](const Call& call, store::Reader& reader) -> Result<net::Response> {
    return resource::json_response(200, service.shown(TRY(service.named(call, reader))));
  };
  platform.resources.add(std::move(one));
  platform.resources.add(
      gathered(service, kOne + "/content", kContentAction,
               "A piece of the recording as asciicast v3; 'next' is where the next one begins",
               object({optional("from", text())}), &Service::content));
  platform.resources.add(gathered(service, kOne + "/sealed", kContentAction,
                                  "A piece of the recording's sealed file, to be verified elsewhere",
                                  object({optional("offset", integer())}), &Service::sealed));
  platform.resources.add(gathered(service, kOne + "/verify", "Merlon.Bastion/recordings/verify/action",
                                  "Holds the recording against what the ledger says of it", object({}),
                                  &Service::verify));
  platform.resources.add(
      gathered(service, "/{+scope}/providers/Merlon.Bastion/searchRecordings", kSearchAction,
               "Text search over the recordings within the scope, newest first",
               object({required("text", text()), optional("top", integer()), optional("after", text())}),
               &Service::search));
}

}  // namespace

void add_routes(Platform& platform, Service& service) {
  add_reading(platform, service);
  Route remove = route_of("DELETE", kOne, "Merlon.Bastion/recordings/delete", "Deletes a recording for good");
  remove.write = [&service](resource::WriteContext& context) { return service.remove(context); };
  platform.resources.add(std::move(remove));
  constexpr std::string_view kImport = "Merlon.Bastion/recordings/import/action";
  platform.resources.add(gathered(service, "/{+scope}/providers/Merlon.Bastion/importRecording", kImport,
                                  "Begins to import a recording; 'header' is the first line of its asciicast",
                                  object({required("header", text())}), &Service::begin_import));
  platform.resources.add(gathered(service, kOne + "/append", kImport, "Adds asciicast events to an import",
                                  object({required("events", text())}), &Service::add_to_import));
  platform.resources.add(
      gathered(service, kOne + "/close", kImport, "Ends an import", object({}), &Service::end_import));
}

Handle install(Platform& platform, recording::Recordings& all) {
  auto service = std::make_shared<Service>(platform, all);
  add_routes(platform, *service);
  return service;
}

void tick(Service& service) { service.end_idle_imports(); }

}  // namespace merlon::recordings
