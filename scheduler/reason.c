#include "scheduler/reason.h"

const char *const qd_reason_names[QD_REASONS] = {
    [QD_REASON_HELD] = "JobHeldUser",
    [QD_REASON_BEGIN] = "BeginTime",
    [QD_REASON_DEPENDENCY] = "Dependency",
    [QD_REASON_ARRAY] = "JobArrayTaskLimit",
    [QD_REASON_RESERVATION] = "Reservation",
    [QD_REASON_MAINTENANCE] = "ReqNodeNotAvail, Reserved for maintenance",
    [QD_REASON_ACCOUNT_JOBS] = "AssocGrpJobsLimit",
    [QD_REASON_ACCOUNT_RANKS] = "AssocGrpNodeLimit",
    [QD_REASON_QUOTA] = "AssocGrpQuota",
    [QD_REASON_NODES] = "ReqNodeNotAvail",
    [QD_REASON_RESOURCES] = "Resources",
    [QD_REASON_PLACE] = "Constraints",
    [QD_REASON_PRIORITY] = "Priority",
    [QD_REASON_CLEANING] = "Cleaning",
    [QD_REASON_NEVER] = "DependencyNeverSatisfied",
    [QD_REASON_LIMIT] = "TimeLimit",
};
