"""A bulk loader for Zoho CRM: each record ends in exactly one recorded outcome, none is inserted twice."""
