// enrolment.json.
#include "agent/enrolment.h"

#include <charconv>

#include "machine/fields.h"

namespace merlon::agent {

JsonObject Enrolment::to_json() const {
  return {{"serverUrl", server_url},
          {"host", host},
          {"port", port},
          {"machineId", machine_id},
          {"resourceId", resource_id},
          {"authority", authority_pem},
          {"agentsName", agents_name}};
}

Result<Enrolment> Enrolment::from_json(const JsonObject& json) {
  constexpr size_t kAuthorityMax = 64 * 1024;
  Enrolment enrolment;
  enrolment.server_url = TRY(machine::text_field(json, "serverUrl"));
  enrolment.host = TRY(machine::text_field(json, "host"));
  enrolment.port = TRY(machine::text_field(json, "port", 5));
  enrolment.machine_id = TRY(machine::text_field(json, "machineId", 64));
  enrolment.resource_id = TRY(machine::text_field(json, "resourceId"));
  enrolment.authority_pem = TRY(machine::text_field(json, "authority", kAuthorityMax));
  enrolment.agents_name = TRY(machine::text_field(json, "agentsName", 256));
  // Without a pinned authority the client would trust every public one.
  if (enrolment.authority_pem.empty() || enrolment.agents_name.empty() || enrolment.port_number() == 0)
    return fail(
        ErrorKind::invalid, "EnrolmentIncomplete",
        "The enrolment in the state directory is incomplete. Enrol this machine anew in an empty directory.");
  return enrolment;
}

uint16_t Enrolment::port_number() const {
  uint16_t number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  return error == std::errc() && end == port.data() + port.size() ? number : uint16_t{0};
}

Result<Enrolment> read_enrolment(const StateFiles& files) {
  if (!files.has(file::kEnrolment))
    return fail(ErrorKind::conflict, "NotEnrolled",
                "The state directory " + files.path() +
                    " holds no enrolment. Get a token with 'merlon machine token' and run: merlon agent "
                    "enrol --server "
                    "URL --ca FILE --token TOKEN --state " +
                    files.path());
  return Enrolment::from_json(TRY(files.read_json(file::kEnrolment)));
}

}  // namespace merlon::agent
