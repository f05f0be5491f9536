žº
¶‰
^
AssignVariableOp
resource
value"dtype"