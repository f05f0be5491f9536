±¹
œï
^
AssignVariableOp
resource
value"dtype"